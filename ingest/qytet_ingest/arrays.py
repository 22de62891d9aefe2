"""Arrays as PostgreSQL's text, written by ourselves: psycopg's own way costs more than the rest of a batch."""

from collections.abc import Iterable

__all__ = ["array_text", "quoted_text"]


def array_text(items: Iterable[object]) -> str:
    """An array whose items need no quoting: numbers (nan among them), null, hexadecimal digits."""
    return "{" + ",".join(map(str, items)) + "}"


def quoted_text(items: Iterable[str]) -> str:
    """An array of texts without quotation marks or backslashes, such as multiranges."""
    return '{"' + '","'.join(items) + '"}'
