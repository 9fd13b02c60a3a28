"""Seeded faults: one rule changed in one place, in a child process, until an oracle sees it.

    faults()                 the faults, at most MOST a function: (module, function, line, what changes)
    tried(fault, verdict)    "complex step ...", "loops ...", "crash" ... or "" where no oracle saw it

A fault is a change of the syntax tree of one function: a sign, a dropped factor or guard, swapped arguments, another
function of the same kind, `+=` for `=`, a number off by one. The function's code object is replaced in the forked
child, so tables and other modules that hold the function see the fault too. The oracles are those of trust/trial.py.
"""

from __future__ import annotations

import ast
import copy
import gc
import importlib
import os
import signal
import types
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# The rules that are mutated: the named functions, and the rows of the tables, of each module. What only chooses between
# ways that compute the same values (costs, hazards, layouts of text) is left out. A function that is added to a module
# is mutated once its name is put here.
MODULES: dict[str, frozenset[str]] = {
    "symml.ir.functions": frozenset("fdiff _sigmoid _softplus _absolute _heaviside".split()),
    "symml.ir.program": frozenset(("change",)),
    "symml.calculus.reverse": frozenset(
        "_own_element _of_logsumexp _of_product send settle gradient gradient_way adjoint _adjoint _zero _active _carry "
        "_back_through_statement _contributions _at_extreme _back_through_library _back_through_scan _as_maps "
        "_back_through_iterate _pulled _fresh _fresh_tensor _as_definition".split()
    ),
    "symml.calculus.op_rules": frozenset(
        "_inv _det _logdet _solve _solve_each _chol _eigvals _eigvecs _gaps _factors _svdvals _turned _svdu _svdv".split()
    ),
    "symml.calculus.second": frozenset("slope_along hessian_times hessian transposed_times jacobian".split()),
    "symml.calculus.columns": frozenset(
        "full diagonal moves free target columns counted _written_out _tie _kept _tie_statement _sources _own _columns "
        "_statement _part _solved _inverse _fixed_point shared _without".split()
    ),
    "symml.calculus.tangent": frozenset(("tangent",)),
    "symml.rewrite.stable": frozenset(
        "_exponent _shifted _log_of_sigmoid _log_of_exponentials _log_of_one_plus _log_of_product _logistic _complement "
        "_exp_minus_one _two_softplus _log_of_positive".split()
    ),
    "symml.rewrite.simplify": frozenset("expand_access merge _partner _uses".split()),
    "symml.rewrite.cse": frozenset("rename _key".split()),
    "symml.rewrite.diagonal": frozenset(("_unified",)),
    "symml.rewrite.dead": frozenset("eliminate_dead _live _live_scan prune".split()),
    "symml.loops.schedule": frozenset(
        "streamed _scattered _stream_region as_gemm _joined _is_entrywise _streamable clearable".split()
    ),
    "symml.targets.numba_cpu.printer": frozenset(
        "region gemm entries accumulate _row_sum _dot _logsumexp _extreme _jammed _finish _store_scalar _guarded _zero "
        "_target _merged call steps _clear".split()
    ),
    "symml.targets.numba_cpu.bodies": frozenset("prepare index let _shared _sum _power _call plain".split()),
    "symml.model.expressions": frozenset(
        "exact _name _negate _index _position _sum _products _product _contracted _power _raised _matrix_power _norm _bars "
        "test _compare _reduction _binder_size _reduced _call".split()
    ),
    "symml.model.values": frozenset("scalar elementwise transpose broadcast product_kind".split()),
    "symml.model.builtins": frozenset(
        "_one _rows _softmax _logsoftmax _logsumexp _trace _norm _diag operation _operation _top _constant".split()
    ),
}
MOST = 3  # faults a function; the rows of a table are tried whole
SECONDS = 45  # of processor time; a trial takes five, of second derivatives fifteen
OTHER_NAME = {
    "sin": "cos", "cos": "sin", "exp": "expm1", "expm1": "exp", "log1p": "softplus", "softplus": "relu", "sigmoid": "tanh",
    "less": "less_equal", "less_equal": "less", "maximum": "minimum", "argmax": "argmin", "max": "min", "min": "max",
    "accumulate": "reduction", "relu": "softplus",
}  # fmt: skip
OTHER_WORD = {
    "sum": "prod", "+=": "=", "*=": "+=", " += ": " = ", " + ": " - ", "*": "+", "=": "+=", ">": "<", "<": ">", "max": "min",
    "real(0)": "real(1)", "real(1)": "real(0)", "real(-np.inf)": "real(0)", "real(np.inf)": "real(0)", ".T": "", "[:]": "[0]",
    "<=": "<", "==": "<=", "none": "sum",
}  # fmt: skip
OTHER_COMPARISON = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OTHER_OPERATION = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Fault:
    """One change: where, what stood there and what stands there now."""

    module: str
    function: str
    line: int
    before: str
    after: str
    number: int  # among the faults of its module
    again: int = 0  # how many faults of the same text stand before it

    def __str__(self) -> str:
        return f"{self.module}:{self.function}:{self.line}  {self.before}  ->  {self.after}"

    @property
    def key(self) -> str:
        return (
            f"{self.module.rsplit('.', 1)[-1]}.{self.function}: {self.before} -> {self.after}"
            + f" ({self.again + 1})" * (self.again > 0)
        )


# mutations: each yields copies of a node


def mutants(node: ast.AST) -> Iterator[ast.AST]:
    """The other forms of one node."""
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER_OPERATION:
        yield _with(node, op=OTHER_OPERATION[type(node.op)]())
        if isinstance(node.op, ast.Mult):
            yield node.left
            yield node.right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield _with(node, ops=[OTHER_COMPARISON[type(node.ops[0])]()])
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for k in range(len(node.values)):
            rest = node.values[:k] + node.values[k + 1 :]
            yield rest[0] if len(rest) == 1 else _with(node, values=rest)
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    if isinstance(node, ast.Constant):
        yield from _constants(node)
    if isinstance(node, ast.Call):
        if len(node.args) == 2 and not node.keywords and ast.dump(node.args[0]) != ast.dump(node.args[1]):
            yield _with(node, args=node.args[::-1])
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in OTHER_NAME:
            other = OTHER_NAME[name]
            func = _with(node.func, attr=other) if isinstance(node.func, ast.Attribute) else _with(node.func, id=other)
            yield _with(node, func=func)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool) or node.value is None:
        return
    if isinstance(node.value, int):
        yield _with(node, value=node.value + 1)
    elif isinstance(node.value, str) and node.value in OTHER_WORD:
        yield _with(node, value=OTHER_WORD[node.value])


def _with(node: ast.AST, **changes: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new


class _Swap(ast.NodeTransformer):
    """Put another node in the place of one."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _rules(tree: ast.Module, only: frozenset[str]) -> Iterator[tuple[str, ast.AST]]:
    """The functions and tables of functions of a module, by name; docstrings and annotations do not count."""
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and top.name in only:
            yield top.name, top
        if isinstance(top, ast.ClassDef):
            for part in top.body:
                if isinstance(part, ast.FunctionDef) and part.name in only:
                    yield f"{top.name}.{part.name}", part
        if isinstance(top, ast.Assign | ast.AnnAssign) and top.value is not None:
            for part in ast.walk(top.value):
                if isinstance(part, ast.Lambda):
                    yield "table", part


def _walk(rule: ast.AST) -> Iterator[ast.AST]:
    """The expressions of a rule that run: no annotations, defaults, docstrings, decorators or messages."""
    if isinstance(rule, ast.Lambda):
        yield from ast.walk(rule.body)
        return
    for statement in rule.body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if docstring or isinstance(statement, ast.Assert):
            continue
        for node in ast.walk(statement):
            if not isinstance(node, ast.Raise):
                yield node


def _skipped(rule: ast.AST) -> set[int]:
    """Nodes of raised messages, type hints and assertions."""
    out: set[int] = set()
    for node in ast.walk(rule):
        for part in (
            [node]
            if isinstance(node, ast.Raise | ast.Assert)
            else [node.annotation]
            if isinstance(node, ast.AnnAssign)
            else []
        ):
            out |= {id(n) for n in ast.walk(part)}
    return out


def _sites(name: str) -> tuple[ast.Module, list[tuple[str, ast.AST, ast.AST]]]:
    path = Path(importlib.import_module(name).__file__)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sites = []
    for function, rule in _rules(tree, MODULES[name]):
        skipped = _skipped(rule)
        for node in _walk(rule):
            if id(node) in skipped:
                continue
            for new in mutants(node):
                sites.append((function, node, new))
    return tree, sites


def faults() -> list[Fault]:
    """At most MOST faults of each function, chosen by what they say: a change elsewhere chooses no others."""
    found: dict[tuple[str, str], list[Fault]] = {}
    told: Counter[tuple[str, ...]] = Counter()
    for name in MODULES:
        _, sites = _sites(name)
        for k, (function, old, new) in enumerate(sites):
            text = (name, function, ast.unparse(old), ast.unparse(ast.fix_missing_locations(copy.deepcopy(new))))
            fault = Fault(name, function, old.lineno, text[2], text[3], k, told[text])
            told[text] += 1
            found.setdefault((name, function), []).append(fault)
    return [
        f for group in found.values() for f in sorted(group, key=rank)[: MOST if group[0].function != "table" else None]
    ]


def rank(fault: Fault) -> int:
    """A number that a fault keeps while its text stays."""
    return zlib.crc32(fault.key.encode())


# putting a fault in place


def plant(fault: Fault) -> None:
    """Replace the code of the function that holds the fault, in this process."""
    module = importlib.import_module(fault.module)
    tree, sites = _sites(fault.module)
    _, old, new = sites[fault.number]
    original = compile(tree, module.__file__, "exec")
    mutated = compile(ast.fix_missing_locations(_Swap(old, copy.deepcopy(new)).visit(tree)), module.__file__, "exec")
    changed = 0
    for before, after in _pairs(original, mutated):
        if _text(before) != _text(after):
            for function in gc.get_objects():
                if isinstance(function, types.FunctionType) and _same_place(function.__code__, before):
                    function.__code__ = after
                    changed += 1
    assert changed, f"nothing holds {fault}"


def _pairs(a: types.CodeType, b: types.CodeType) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    """Code objects of the same place in two trees; the outermost of each function first."""
    ours = [c for c in a.co_consts if isinstance(c, types.CodeType)]
    others = [c for c in b.co_consts if isinstance(c, types.CodeType)]
    for x, y in zip(ours, others, strict=False):
        yield x, y
        yield from _pairs(x, y)


def _text(code: types.CodeType) -> tuple:
    consts = tuple(_text(c) if isinstance(c, types.CodeType) else (type(c), c) for c in code.co_consts)
    return code.co_code, consts, code.co_names


def _same_place(a: types.CodeType, b: types.CodeType) -> bool:
    return (
        a.co_filename == b.co_filename
        and a.co_qualname == b.co_qualname
        and list(a.co_positions())[:3] == list(b.co_positions())[:3]
    )


def tried(fault: Fault, verdict: Callable[[str], str]) -> str:
    """The verdict of a child that has the fault: what it returns, `crash` where an exception ended it, `hangs`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            plant(fault)
            seen = verdict(fault.module)
            os.write(writing, (seen or "-").encode()[:4000])
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "hangs" if os.WTERMSIG(status) == signal.SIGPROF else f"died of signal {os.WTERMSIG(status)}"
    return {"": "crash", "-": ""}.get(text, text)
