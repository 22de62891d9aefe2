"""Joins the modules that never leave a node's memory into one, so that each spares what a module takes there.

A module has a table of its names, a table of those it uses, three names of its own, and a line for each name that it
imports: some 230 bytes of a chip's memory before its first function. In the source they stay apart. Joined, a name of a
module's own gets the module's before it, and a class's private names become the same few short ones in every class.
"""

import ast
from collections.abc import Mapping, Sequence

from qytet.errors import QytetError
from qytet_bench.privacy import is_private

__all__ = ["linked"]

_PACKAGE = "qytet_node"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def linked(texts: Mapping[str, str], parts: Sequence[str]) -> dict[str, str]:
    """The modules by their paths, with `parts` (names within the package, in the order of need) in the last of them.

    Raises QytetError if two parts give the same name to different things.
    """
    paths = {part: f"{_PACKAGE}/{part.replace('.', '/')}.py" for part in parts}
    whole = f"{_PACKAGE}.{parts[-1]}"
    trees = {part: ast.parse(texts[path]) for part, path in paths.items()}
    names = _names(trees)
    imports, body = dict[str, ast.stmt](), list[ast.stmt]()
    for part, tree in trees.items():
        for node in _Joiner(part, names).visit(tree).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports[ast.unparse(node)] = node
            elif not isinstance(node, ast.Expr):  # a docstring
                body.append(_short_class(node) if isinstance(node, ast.ClassDef) else node)
    found = {
        path: _redirected(text, set(parts), whole)
        for path, text in texts.items()
        if path not in paths.values()
    }
    found[paths[parts[-1]]] = ast.unparse(ast.Module([*imports.values(), *body], [])) + "\n"
    return found


def _names(trees: Mapping[str, ast.Module]) -> dict[str, dict[str, str]]:
    """What each part's own names are called in the whole."""
    names: dict[str, dict[str, str]] = {}
    public: dict[str, str] = {}
    for part, tree in trees.items():
        prefix = "_" + part.replace(".", "_")
        names[part] = own = {}
        for name in {name for node in tree.body for name in _defined(node)}:
            taken = public.setdefault(name, part) != part
            if taken and not name.startswith("_") and not name.isupper():
                raise QytetError(f"{part} and {public[name]} both define {name}, so they cannot be joined.")
            own[name] = prefix + "_" + name.lstrip("_") if taken or name.startswith("_") else name
    return names


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]


class _Joiner(ast.NodeTransformer):
    """Makes one part fit into the whole."""

    def __init__(self, part: str, names: Mapping[str, Mapping[str, str]]) -> None:
        self._own, self._names = dict(names[part]), names
        self._modules: dict[str, str] = {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        module = (node.module or "").removeprefix(_PACKAGE).removeprefix(".")
        if not (node.module or "").startswith(_PACKAGE):
            return node
        if module in self._names:
            self._own |= {one.asname or one.name: self._names[module][one.name] for one in node.names}
            return None
        kept = []
        for one in node.names:
            full = f"{module}.{one.name}".removeprefix(".")
            if full in self._names:
                self._modules[one.asname or one.name] = full
            else:
                kept.append(one)
        node.names = kept
        return node if kept else None

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self._modules:
            return ast.Name(self._names[self._modules[node.value.id]][node.attr], node.ctx)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._own.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._named(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._named(node)

    def _named(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if node.col_offset == 0:
            node.name = self._own[node.name]
        return self.generic_visit(node)


def _short_class(node: ast.ClassDef) -> ast.ClassDef:
    """The class with `_a`, `_b` … for its private attributes and methods."""
    every = (f"_{first}{second}" for second in ("", *_LETTERS) for first in _LETTERS)
    short: dict[str, str] = {}

    def given(name: str) -> str:
        if not is_private(name):
            return name
        return short[name] if name in short else short.setdefault(name, next(every))

    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            one.attr = given(one.attr)
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            one.name = given(one.name)
    for one in (target for line in node.body if isinstance(line, ast.Assign) for target in line.targets):
        for name in ast.walk(one):
            if isinstance(name, ast.Name):
                name.id = given(name.id)
    return node


def _redirected(text: str, parts: set[str], whole: str) -> str:
    """A module that stays apart, with its imports from the parts led to the whole."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").removeprefix(_PACKAGE + ".") in parts:
            node.module = whole
        elif isinstance(node, ast.Import | ast.ImportFrom) and parts & _modules(node):
            raise QytetError(
                f"A module imports {ast.unparse(node)}: of what is joined, only names can be imported."
            )
    return ast.unparse(tree) + "\n"


def _modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    """What an import may mean as modules, by their names within the package."""
    above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return {f"{above}{one.name}".removeprefix(_PACKAGE + ".") for one in node.names}
