"""Runs checks side by side, each within its time limit; a check that fails or hangs is a finding itself."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from qytet.doctor.context import Check, Context
from qytet.doctor.finding import Finding, problem
from qytet.errors import QytetError

__all__ = ["run"]


def run(checks: Sequence[Check], context: Context) -> list[Finding]:
    """All findings in the order of the table, with group and name filled in."""
    began = time.monotonic()
    running = [(check, _start(check, context)) for check in checks]
    return [
        Finding(finding.state, finding.what, finding.do, check.group, finding.name or check.name)
        for check, future in running
        for finding in _wait(check, future, began)
    ]


def _start(check: Check, context: Context) -> "Future[list[Finding]]":
    """A daemon thread a check: one that hangs for good must not keep the program from ending."""
    future: Future[list[Finding]] = Future()

    def work() -> None:
        try:
            future.set_result(check.run(context))
        except BaseException as error:  # noqa: BLE001  handed to the one who waits
            future.set_exception(error)

    threading.Thread(target=work, name=f"doctor-{check.name}", daemon=True).start()
    return future


def _wait(check: Check, future: "Future[list[Finding]]", began: float) -> list[Finding]:
    try:
        return future.result(max(0.0, began + check.timeout - time.monotonic()))
    except TimeoutError:
        if future.done():  # the check itself met a time limit
            return [problem("it does not answer in time", "Check the address, and firewalls on the way.")]
        return [
            problem(f"no result within {check.timeout:.0f} s", "Something on the way swallows the answer.")
        ]
    except QytetError as error:
        return [problem(f"{error.what} {error.why}".strip(), error.do or "See docs/how-to/deploy.md.")]
    except Exception as error:  # noqa: BLE001  a broken check is told like any other trouble
        return [problem(f"the check itself failed: {type(error).__name__}: {error}", "Report this as a bug.")]
