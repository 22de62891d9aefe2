"""Who may read dead letters, and how their bytes are shown."""

import base64
from typing import Any

from qytet_api.database import Database, Rows
from qytet_api.deadletters import queries
from qytet_api.problems import not_found
from qytet_api.security import Caller

__all__ = ["find", "one"]


async def find(caller: Caller, database: Database, params: dict[str, object]) -> Rows:
    """Dead letters, newest first. Raises ProblemError 401 or 403 unless the caller is an operator."""
    caller.require_operator()
    return await database.rows(queries.DEAD_LETTERS, params)


async def one(caller: Caller, database: Database, number: int) -> dict[str, Any]:
    """A dead letter with its bytes. Raises ProblemError 401, 403 or 404."""
    caller.require_operator()
    found = await database.row(queries.DEAD_LETTER, {"id": number})
    if found is None:
        raise not_found("dead letter", number)
    payload = bytes(found.pop("payload"))
    found["payload_base64"] = base64.b64encode(payload).decode()
    found["payload_text"] = payload.decode("utf-8", errors="replace")
    return found
