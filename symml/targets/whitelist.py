"""What emitted source may contain: checked on its syntax tree before anything is executed.

check(source)        # AssertionError names what is not allowed: emitting it is a bug of symml
"""

from __future__ import annotations

import ast

NODES = (
    ast.Module,
    ast.FunctionDef,
    ast.arguments,
    ast.arg,
    ast.Return,
    ast.Assign,
    ast.AugAssign,
    ast.For,
    ast.While,
    ast.If,
    ast.Expr,
    ast.Pass,
    ast.Break,
    ast.Continue,
    ast.Import,
    ast.ImportFrom,
    ast.alias,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.Attribute,
    ast.Subscript,
    ast.Slice,
    ast.Call,
    ast.keyword,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.ListComp,
    ast.GeneratorExp,
    ast.DictComp,
    ast.comprehension,
    ast.Raise,
    ast.Try,
    ast.ExceptHandler,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.Starred,
)
MODULES = ("math", "numpy", "numba", "numba.extending", "llvmlite", "time")
NAMES_REFUSED = frozenset(
    [
        "eval",
        "exec",
        "compile",
        "open",
        "input",
        "globals",
        "locals",
        "vars",
        "getattr",
        "setattr",
        "delattr",
        "__import__",
        "breakpoint",
        "exit",
        "quit",
        "type",
    ]
)


def check(source: str) -> None:
    """Refuse nodes, imports, names and attributes that no kernel needs."""
    for node in ast.walk(ast.parse(source)):
        assert isinstance(node, NODES), f"emitted source holds {type(node).__name__}"
        if isinstance(node, ast.Import):
            assert all(a.name in MODULES for a in node.names), ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            assert node.module in MODULES, ast.unparse(node)
        if isinstance(node, ast.Name):
            assert node.id not in NAMES_REFUSED and not node.id.startswith("__"), f"emitted source names {node.id}"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), f"emitted source reads .{node.attr}"
