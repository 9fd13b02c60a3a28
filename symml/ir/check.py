"""What is legal in a Program: one table of (rule, test), run between passes in the tests and under `--check`.

check(program)        # AssertionError names the rule and prints the statement: a broken pass is a bug of symml
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr

from symml.ir import show
from symml.ir.functions import BY_CLASS
from symml.ir.program import Access, Dim, Index, Program, Statement, accesses, indices, reads
from symml.ir.reducers import REDUCERS


def _known_nodes(expr: Expr) -> bool:
    if isinstance(expr, Access | Dim | Index) or expr.is_Number or expr.is_NumberSymbol:
        return True
    return (expr.is_Add or expr.is_Mul or expr.is_Pow or expr.func in BY_CLASS) and all(map(_known_nodes, expr.args))


def _covers_once(s: Statement) -> bool:
    """`=` writes each element once: its plain left indices are distinct and span the axes, the rest are constants."""
    plain = [k for k in s.lhs if isinstance(k, Index)]
    return s.mode == "+=" or (
        len(set(plain)) == len(plain) and all(isinstance(k, Index) or not indices(k) for k in s.lhs)
    )


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
    ("every index is a loop", lambda s: set().union(*map(indices, (s.body, *s.lhs))) <= set(s.loops)),
    ("`=` writes each element once", _covers_once),
    (
        "left indices span their axes",
        lambda s: all(k.size == n for k, n in zip(s.lhs, s.out.shape, strict=True) if isinstance(k, Index)),
    ),
    (
        "plain indices span the axes they read",
        lambda s: all(
            k.size == n
            for a in accesses(s.body)
            for k, n in zip(a.idx, a.tensor.shape, strict=True)
            if isinstance(k, Index)
        ),
    ),
    (
        "gathered indices are integers",
        lambda s: all(a.tensor.integer for x in accesses(s.body) for k in x.idx for a in k.atoms(Access)),
    ),
    ("bodies hold only the table's functions", lambda s: _known_nodes(s.body)),
)


def check(program: Program) -> None:
    """Every rule on every statement, then definition before use and one run of statements for each tensor."""
    defined = set(program.inputs)
    last = None
    for s in program.statements:
        for rule, test in STATEMENT_RULES:
            assert test(s), f"{rule}:\n  {show.statement(s)}"
        missing = [t.name for t in reads(s) if t not in defined]
        assert not missing, f"{missing} read before definition:\n  {show.statement(s)}"
        again = s.out in defined
        assert not again or (s.mode == "+=" and s.out is last), f"{s.out.name} defined twice:\n  {show.statement(s)}"
        defined.add(s.out)
        last = s.out
    for name, t in program.outputs.items():
        assert t in defined, f"output {name} = {t.name} is not defined"
