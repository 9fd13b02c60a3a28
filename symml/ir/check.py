"""What is legal in a Program: one table of (rule, test), run between passes in the tests and under `--check`.

check(program)        # AssertionError names the rule and prints the statement: a broken pass is a bug of symml
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sympy import Expr

from symml.ir import show
from symml.ir.functions import BY_CLASS
from symml.ir.ops import OPS
from symml.ir.program import (
    Access,
    Dim,
    Index,
    Library,
    Node,
    Program,
    Scan,
    Statement,
    Tensor,
    accesses,
    indices,
    outs,
    parts,
    reads,
)
from symml.ir.reducers import REDUCERS


def _known_nodes(expr: Expr) -> bool:
    if isinstance(expr, Access | Dim | Index) or expr.is_Number or expr.is_NumberSymbol:
        return True
    return (expr.is_Add or expr.is_Mul or expr.is_Pow or expr.func in BY_CLASS) and all(map(_known_nodes, expr.args))


def _within(k: Expr, size: Expr) -> bool:
    """Is an index inside an axis? What is gathered or computed otherwise is checked where it is bound or lowered."""
    offset, plain = k.as_coeff_Add()
    if not isinstance(plain, Index):
        return not (k.is_Integer and (k < 0 or (size.is_Integer and k >= size)))
    return offset >= 0 and bool((size - plain.size - offset).is_nonnegative)


def _covers_once(s: Statement) -> bool:
    """`=` writes each element once: the left indices are distinct indices of loops, each plus a number at most; what
    else stands there does not move with the loops."""
    moving = [k for k in s.lhs if indices(k) & set(s.loops)]
    plain = [k.as_coeff_Add()[1] for k in moving]
    return s.mode == "+=" or (len(set(plain)) == len(plain) and all(isinstance(k, Index) for k in plain))


STATEMENT_RULES: tuple[tuple[str, Callable[[Statement], bool]], ...] = (
    ("the mode is = or +=", lambda s: s.mode in ("=", "+=")),
    ("the reduction is of the table", lambda s: s.reduce in REDUCERS),
    ("only sums accumulate", lambda s: s.mode == "=" or s.reduce in ("none", "sum")),
    (
        "a map reduces nothing; a reduction has what to reduce",
        lambda s: (s.reduce == "none") == (not s.reduced) or s.mode == "+=",
    ),
    ("the left side has one index an axis", lambda s: len(s.lhs) == len(s.out.shape)),
    ("loops are distinct", lambda s: len(set(s.loops)) == len(s.loops)),
    ("`=` writes each element once", _covers_once),
    ("left indices stay in their axes", lambda s: all(_within(k, n) for k, n in zip(s.lhs, s.out.shape, strict=True))),
    (
        "indices stay in the axes they read",
        lambda s: all(_within(k, n) for a in accesses(s.body) for k, n in zip(a.idx, a.tensor.shape, strict=True)),
    ),
    (
        "gathered indices are integers",
        lambda s: all(a.tensor.integer for x in accesses(s.body) for k in x.idx for a in k.atoms(Access)),
    ),
    ("bodies hold only the table's functions", lambda s: _known_nodes(s.body)),
)


def check(program: Program) -> None:
    """Every rule on every statement, definition before use, and no tensor changed after another node read it."""
    _nodes(program.statements, set(program.inputs))
    defined = {*program.inputs, *(t for node in program.statements for t in outs(node))}
    for name, t in program.outputs.items():
        assert t in defined, f"output {name} = {t.name} is not defined"


def _nodes(nodes: Iterable[Node], defined: set[Tensor]) -> None:
    """A sequence of nodes; `defined` grows by what they define."""
    read: set[Tensor] = set()
    for node in nodes:
        text = "\n".join(show.node(node))
        own = set(outs(node))
        if isinstance(node, Statement):
            _statement(node, (), text)
        elif isinstance(node, Scan):
            for s in node.statements:
                _statement(s, (node.step,), text)
        elif isinstance(node, Library):
            assert node.op in OPS, f"the operation is of the table:\n  {text}"
            op = OPS[node.op]
            assert len(node.args) == len(op.takes), f"as many arguments as it takes:\n  {text}"
            assert all(t.shape == op.shape(*(a.shape for a in node.args)) for t in node.outs), (
                f"results have the operation's shape:\n  {text}"
            )
        else:
            inside = defined | {x for x, _, _ in node.states}
            _nodes(node.statements, inside)
            assert {node.gap, *(new for _, _, new in node.states)} <= inside, f"defined in the body:\n  {text}"
        missing = [
            t.name for t in reads(node) if t not in defined and not (t in own and not isinstance(node, Statement))
        ]
        assert not missing, f"{missing} read before definition:\n  {text}"
        again = own & defined
        assert not again & read, f"{[t.name for t in again & read]} changed after it was read:\n  {text}"
        plain = isinstance(node, Statement) and node.mode == "=" and node.covers
        assert not (again and plain), f"{[t.name for t in again]} defined twice:\n  {text}"
        defined |= own
        read |= set(reads(node)) - own


def _statement(s: Statement, outer: tuple[Index, ...], text: str) -> None:
    for rule, test in STATEMENT_RULES:
        assert test(s), f"{rule}:\n  {text}"
    free = set().union(*map(indices, parts(s))) - set(s.loops)
    assert free <= set(outer), f"every index is a loop:\n  {text}"
