"""Holds the device's classes to their privacy, on which short names rest: a private name means something only inside.

`link` and `mpyfile` give private names other letters in every class and module. What reached for another's `_name`
would find nothing on a board, and would be found out there; so the build refuses it here.
"""

import ast
from collections.abc import Iterator

from qytet.errors import QytetError

__all__ = ["check", "is_private"]


def is_private(name: str) -> bool:
    """Whether a name begins with one underline."""
    return name.startswith("_") and not name.startswith("__")


def check(path: str, source: str) -> None:
    """Raises QytetError for a private name that is asked of anything but `self`, or that its class does not define."""
    tree = ast.parse(source)
    for node in _private_attributes(tree):
        if not _is_own(node):
            raise _breach(path, node, "Only a class itself may use its private names")
    for kind in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        known = _defined(kind)
        for node in _private_attributes(kind):
            if node.attr not in known:
                raise _breach(path, node, f"{kind.name} does not define it, and none inherits private names")


def _breach(path: str, node: ast.Attribute, why: str) -> QytetError:
    return QytetError(
        f"{path}, line {node.lineno}: {ast.unparse(node)} would not be found on a board.",
        why=f"{why}: boards have other letters for them in every class.",
        do="Give it a public name.",
    )


def _private_attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr))


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _defined(kind: ast.ClassDef) -> set[str]:
    """Methods, and what is assigned in the class or to `self`."""
    functions = (node for node in kind.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    assigned = (node for line in kind.body if isinstance(line, ast.Assign) for node in ast.walk(line))
    stored = (node for node in _private_attributes(kind) if isinstance(node.ctx, ast.Store))
    return (
        {node.name for node in functions}
        | {node.id for node in assigned if isinstance(node, ast.Name)}
        | {node.attr for node in stored}
    )
