"""Makes the node's modules small in a chip's memory, before mpy-cross compiles them: names that cost nothing.

MicroPython keeps each name that a program uses once, for ever: its text, and a place in a table that doubles when it is
full. Names of local variables it does not keep, but those of attributes, globals and parameters. So in the text that is
compiled, and only there,

- a number or text with a name in capitals that no other module uses becomes a private `const`, which mpy-cross puts in
  its place;
- a parameter that nobody passes by its name becomes private.

`mpyfile.short_names` then gives all private names the same few short ones in every module. Source, tests and what is
told the city keep the long names; an AttributeError on a board shows a short one.
"""

import ast
import re
from collections import Counter
from collections.abc import Collection

__all__ = ["keywords", "shrunk", "words"]

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*$")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WORD = re.compile(r"\w+")
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def words(source: str) -> set[str]:
    """Every word of a source: what another module may mean by it."""
    return set(_WORD.findall(source))


def keywords(source: str) -> set[str]:
    """Names by which arguments are passed."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {one.arg for call in calls for one in call.keywords if one.arg}


def shrunk(source: str, elsewhere: Collection[str], passed: Collection[str], *, options: bool = False) -> str:
    """The source with cheap names, without comments.

    `elsewhere` are the words of all other modules, `passed` all names of keyword arguments. With `options`
    constructors get theirs from a profile, by name, so they keep them.
    """
    tree = ast.parse(source)
    names = _declare_constants(tree, elsewhere)
    return ast.unparse(_Renamer(names, passed, options=options).visit(tree)) + "\n"


def _declare_constants(tree: ast.Module, elsewhere: Collection[str]) -> dict[str, str]:
    """Turn assignments of constants into declarations; their old and new names."""
    stored = Counter(
        one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    )
    names: dict[str, str] = {}
    body = list[ast.stmt]()
    for node in tree.body:
        pairs = _pairs(node)
        if not pairs or not all(
            stored[name] == 1 and _is_constant(value, names) and (name[0] == "_" or name not in elsewhere)
            for name, value in pairs
        ):
            body.append(node)
            continue
        for name, value in pairs:
            names[name] = "_" + name.lstrip("_")
            body.append(ast.parse(f"{name} = const({ast.unparse(value)})").body[0])
    tree.body = body
    return names


def _pairs(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Names in capitals and their values, if this assigns nothing else."""
    if not isinstance(node, ast.Assign):
        return []
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    else:
        pairs = [(one, value) for one in node.targets]
    found = [(one.id, other) for one, other in pairs if isinstance(one, ast.Name) and _CONSTANT.match(one.id)]
    return found if len(found) == len(pairs) else []


def _is_constant(value: ast.expr, known: Collection[str]) -> bool:
    """Whether mpy-cross can put it in place: a text, or a whole number, also one that is reckoned."""
    if isinstance(value, ast.Constant):
        return type(value.value) in (int, str)
    if isinstance(value, ast.Name):
        return value.id in known
    if isinstance(value, ast.UnaryOp):
        return _is_constant(value.operand, known)
    return (
        isinstance(value, ast.BinOp) and _is_constant(value.left, known) and _is_constant(value.right, known)
    )


class _Renamer(ast.NodeTransformer):
    """Gives constants their new names, and parameters private ones."""

    def __init__(self, names: dict[str, str], passed: Collection[str], *, options: bool) -> None:
        self._scopes = [names]
        self._passed, self._options = passed, options
        self._letters = iter(_LETTERS)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._new(node.id)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.Nonlocal:
        node.names = [self._new(name) for name in node.names]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._new(node.name)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node, keeps=self._options and node.name == "__init__")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def _function(self, node: _Function, *, keeps: bool = False) -> ast.AST:
        before = self._letters
        if (
            len(self._scopes) == 1
        ):  # functions side by side have the same letters, one within another has others
            self._letters = iter(_LETTERS)
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        if not isinstance(node, ast.Lambda):
            node.decorator_list = [self.visit(one) for one in node.decorator_list]
        own = {one.arg: one.arg for one in (*node.args.args, *node.args.kwonlyargs)}
        for one in node.args.args:
            if not keeps and one.arg not in ("self", "_") and one.arg not in self._passed:
                own[one.arg] = one.arg = f"_{next(self._letters)}"
        self._scopes.append(own)
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        else:
            node.body = [self.visit(one) for one in node.body]
        self._scopes.pop()
        self._letters = before
        return node

    def _new(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), name)
