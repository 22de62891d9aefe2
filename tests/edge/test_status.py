"""What the gateway tells of itself: the status socket, and systemd."""

import asyncio
import contextlib
import socket
import threading
from pathlib import Path

import pytest

from qytet.errors import ServerError
from qytet_edge import status
from qytet_edge.systemd import Systemd


def test_status_is_answered(tmp_path: Path) -> None:
    """Whoever may connect gets the whole state as JSON; others may not even connect; the end leaves no socket."""

    async def main() -> object:
        (tmp_path / status.SOCKET).touch()  # of a run that was killed
        async with status.serving(tmp_path, lambda: {"deep": {"text": "ë" * 100_000}}):
            assert (tmp_path / status.SOCKET).stat().st_mode & 0o777 == 0o600
            return await asyncio.to_thread(status.ask, tmp_path)

    assert asyncio.run(main()) == {"deep": {"text": "ë" * 100_000}}
    assert not (tmp_path / status.SOCKET).exists()
    with pytest.raises(ServerError, match=r"does not run.*systemctl status"):
        status.ask(tmp_path)


def test_status_survives_a_rude_client(tmp_path: Path) -> None:
    """A client that hangs up at once does not keep the next one from its answer."""

    async def main() -> object:
        async with status.serving(tmp_path, lambda: {"text": "x" * 1_000_000}):
            for _ in range(5):
                rude = socket.socket(socket.AF_UNIX)
                rude.connect(str(tmp_path / status.SOCKET))
                rude.close()
            return await asyncio.to_thread(status.ask, tmp_path)

    assert asyncio.run(main()) == {"text": "x" * 1_000_000}


def test_a_client_that_does_not_read_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks and does not take the answer is hung up on: neither its answer nor its task stays."""
    monkeypatch.setattr(status, "_ANSWER_S", 0.05)

    async def main() -> None:
        answering: asyncio.Future[asyncio.Task[None] | None] = asyncio.get_running_loop().create_future()

        def state() -> dict[str, str]:
            answering.set_result(asyncio.current_task())
            return {"text": "x" * 5_000_000}

        async with status.serving(tmp_path, state):
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.connect(str(tmp_path / status.SOCKET))
                task = await asyncio.wait_for(answering, 10)
                assert task is not None
                await asyncio.wait({task}, timeout=10)
                assert task.done()

    asyncio.run(main())


def test_too_long_a_path_is_explained(tmp_path: Path) -> None:
    """A data folder whose path is too long for a unix socket is told, not cut."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()

    async def main() -> None:
        async with status.serving(folder, dict):
            raise AssertionError("it cannot serve there")

    with pytest.raises(ServerError, match="too long"):
        asyncio.run(main())


class TestSystemd:
    """sd_notify, as the manager sees it."""

    def test_nothing_without_a_manager(self) -> None:
        """Where systemd did not start us, nothing is sent and the watchdog's task ends at once."""
        with Systemd({}) as systemd:
            systemd.say("READY=1")
            asyncio.run(systemd.feed(_well))

    def test_a_busy_manager_hears_what_is_said_once(self, tmp_path: Path) -> None:
        """While the manager has no room for more, `READY=1` waits for it: lost, the start would count as failed."""
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others,
            Systemd(environment) as systemd,
        ):
            manager.bind(environment["NOTIFY_SOCKET"])
            manager.settimeout(60)
            others.setblocking(False)
            filled = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    others.sendto(b"x", environment["NOTIFY_SOCKET"])
                    filled += 1
            heard: list[bytes] = []
            listening = threading.Timer(
                0.1, lambda: heard.extend(manager.recv(100) for _ in range(filled + 1))
            )
            listening.start()
            systemd.say("READY=1", patience_s=60)
            listening.join()
        assert heard == [b"x"] * filled + [b"READY=1"]

    def test_fed_while_alive_only(self, tmp_path: Path) -> None:
        """The watchdog is fed while the gateway answers that it is well; not while it is ill, nor while it hangs."""
        answers = iter(["", "", "ill", "hangs", ""])

        async def alive() -> str:
            answer = next(answers, None)
            if answer is None:
                raise asyncio.CancelledError
            if answer == "hangs":
                await asyncio.sleep(60)
            return answer

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(5)
            environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000"}
            with Systemd(environment) as systemd:
                systemd.say("READY=1", "STATUS=3 sources")
                with pytest.raises(asyncio.CancelledError):
                    asyncio.run(systemd.feed(alive))
            assert manager.recv(100) == b"READY=1\nSTATUS=3 sources"
            manager.setblocking(False)
            fed = 0
            while True:
                try:
                    assert manager.recv(100) == b"WATCHDOG=1"
                except BlockingIOError:
                    break
                fed += 1
        assert fed == 3

    def test_a_long_start_gets_time_while_it_moves(self, tmp_path: Path) -> None:
        """A start that mends a big spool is given more time, piece by piece; one that hangs is not."""
        ages = iter([1.0, 119.0, 1000.0, float("inf")])

        def busy_s() -> float:
            age = next(ages, None)
            if age is None:
                raise asyncio.CancelledError
            return age

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            with (
                Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")}) as systemd,
                pytest.raises(asyncio.CancelledError),
            ):
                asyncio.run(systemd.extend(busy_s, 0.001))
            assert [manager.recv(100) for _ in range(2)] == [b"EXTEND_TIMEOUT_USEC=140000000"] * 2
            with pytest.raises(BlockingIOError):
                manager.recv(100)

    def test_a_watchdog_of_others_is_not_ours(self) -> None:
        """Settings meant for another process, or that are no numbers, start no watchdog."""
        assert Systemd({"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}).watchdog_s is None
        assert Systemd({"WATCHDOG_USEC": "soon"}).watchdog_s is None
        assert Systemd({"WATCHDOG_USEC": "30000000"}).watchdog_s == 30


async def _well() -> str:
    return ""
