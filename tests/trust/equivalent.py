"""Changes that change no value: no input can tell them from the rule as it is, and the reason why.

reason(fault)  ->  the reason, or "" where the fault must be seen

A change that only picks another of several right ways (a schedule, a missed sharing, a name) is of this kind; a change
that no page of the trial happens to reach is not.
"""

from __future__ import annotations

from trust.faults import Fault

REASONS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "a power that no special form takes is printed as base**exponent: the same number",
        frozenset(
            (
                "bodies._Writer._power: 1 -> 2",
                "bodies._Writer._power: 2 -> 3",
                "bodies._Writer._power: sympy.Rational(-1, 2) -> sympy.Rational(2, -1)",
            )
        ),
    ),
    (
        "a common sub-expression is written out in place of its name, or a symbol gets a name of its own",
        frozenset(
            (
                "bodies._Writer._shared: self.let(expr, level) if not expr.is_Symbol else self.text(expr, level) -> "
                "self.let(expr, level)",
                "bodies._Writer._shared: self.let(expr, level) if not expr.is_Symbol else self.text(expr, level) -> "
                "self.text(expr, level)",
            )
        ),
    ),
    (
        "a square matrix is as high as it is wide, and equality is symmetric",
        frozenset(
            (
                "op_rules._det: 0 -> 1",
                "op_rules._logdet: 0 -> 1",
                "op_rules._chol: equal(i, j) -> equal(j, i)",
                "columns._inverse: equal(i, j) -> equal(j, i)",
            )
        ),
    ),
    (
        "what is linear in the direction was added up by sums alone; a count is never negative",
        frozenset(
            (
                "columns._statement: s.reduce in ('none', 'sum') and rest == 0 -> rest == 0",
                "columns._tie: 1 -> 2",
            )
        ),
    ),
    (
        "only which long passes threads may share: their bits are held by tests/runtime/test_threads.py",
        frozenset(("schedule._stream_region: s.out in row_sums(region) -> s.out not in row_sums(region)",)),
    ),
    (
        "log(a b) as log(a) + log(b) for positive a and b is the same number",
        frozenset(
            (
                "stable._log_of_positive: any((isinstance(f, exp) for f in factors)) and all((isinstance(f, exp) or "
                "f.is_positive for f in factors)) -> all((isinstance(f, exp) or f.is_positive for f in factors))",
            )
        ),
    ),
    (
        "a sum that begins with a minus sign is the same sum",
        frozenset(("bodies._Writer._sum: a.could_extract_minus_sign() and text -> a.could_extract_minus_sign()",)),
    ),
    (
        "only the first letter of a local name is another",
        frozenset(
            ("bodies._Writer.let: 'c' if level == 0 else 'e' -> 'c'", "bodies._Writer.let: 'c' if level == 0 else 'e' -> 'e'")
        ),
    ),
    (
        "keys are compared with keys made the same way; statements that are not merged compute the same twice",
        frozenset(
            (
                "cse._key: canon.setdefault((p, k.size), Index(f'c{p}', k.size)) -> "
                "canon.setdefault(Index(f'c{p}', k.size), (p, k.size))",
                "cse._key: k not in order -> k in order",
            )
        ),
    ),
    (
        "the product of one factor is that factor",
        frozenset(
            (
                "expressions._compare: elementwise(lambda *a: sympy.Mul(*a), *parts) if len(parts) > 1 else parts[0] -> "
                "elementwise(lambda *a: sympy.Mul(*a), *parts)",
            )
        ),
    ),
    (
        "a literal as a fraction or as a floating number is the same number",
        frozenset(("expressions.exact: 0 -> 1", "expressions.exact: value == 0 -> value != 0")),
    ),
    (
        "the larger of two, in either order",
        frozenset(("expressions._raised: max(abs(a.p), a.q) -> max(a.q, abs(a.p))",)),
    ),
    (
        "the product of no guards is 1: a guard that leaves nothing out",
        frozenset(("expressions._reduction: sympy.Mul(*guards) if guards else None -> sympy.Mul(*guards)",)),
    ),
    (
        "equality has no order",
        frozenset(
            (
                "functions.table: sympy.Eq(a, b) -> sympy.Eq(b, a)",
                "functions.table: sympy.Ne(test, 0) -> sympy.Ne(0, test)",
            )
        ),
    ),
    (
        "the factor is 1 or -1: multiplying by it is dividing by it",
        frozenset(("functions.table: u * (2 * _heaviside(u) - 1) -> u / (2 * _heaviside(u) - 1)",)),
    ),
    ("log 1 is 0", frozenset(("stable._shifted: u if c == 1 else u + log(c) -> u + log(c)",))),
    (
        "log(exp(a) + exp(b)) is a + softplus(b - a) and b + softplus(a - b)",
        frozenset(
            (
                "stable._log_of_exponentials: total + softplus(u - total) if total == 0 else u + softplus(total - u) -> "
                "total + softplus(u - total)",
            )
        ),
    ),
    ("a tensor that is added to starts at 0, and what is added is 0", frozenset(("reverse._zero: '=' -> '+='",))),
    (
        "a set is filled in another order",
        frozenset(
            (
                "reverse._active: needed.update(reads(node), outs(node)) -> needed.update(outs(node), reads(node))",
            )
        ),
    ),
    ("no term has the coefficient 0", frozenset(("stable._exponent: coefficient > 0 -> coefficient >= 0",))),
    (
        "both branches have the value 0 where the condition differs, at u = 0",
        frozenset(
            (
                "functions._absolute: np.real(u) >= 0 -> np.real(u) > 0",
                "functions._softplus: np.real(u) > 0 -> np.real(u) >= 0",
                "functions.table: np.real(u) > 0 -> np.real(u) >= 0",
            )
        ),
    ),
    (
        "where the condition differs both arguments are equal, and so is the value",
        frozenset(
            (
                "functions.table: max(u, 0) -> max(0, u)",
                "functions.table: np.real(a) >= np.real(b) -> np.real(a) > np.real(b)",
                "functions.table: np.real(a) <= np.real(b) -> np.real(a) < np.real(b)",
                "functions.table: a >= b -> a > b",
                "functions.table: a <= b -> a < b",
            )
        ),
    ),
    (
        "in float64 float(x) is x; in float32 it keeps digits that the sum does not have",
        frozenset(("printer.Printer._finish: value if s.out.integer else f'float({value})' -> value",)),
    ),
    (
        "the index of a scalar is its storage",
        frozenset(
            (
                "printer.Printer._target: self.bodies.index(Access(s.out, s.lhs), letters) if s.lhs else "
                "self.storage[s.out] -> self.bodies.index(Access(s.out, s.lhs), letters)",
            )
        ),
    ),
    ("a deeper indentation is the same block", frozenset(("printer.Printer.gemm: 2 -> 3",))),
    (
        "whole numbers have no adjoint to which anything is sent",
        frozenset(
            (
                "reverse._active: s.reduce not in INTEGER_VALUED and any((a.tensor in forward for a in "
                "direct_accesses(s.body))) -> any((a.tensor in forward for a in direct_accesses(s.body)))",
            )
        ),
    ),
    (
        "a map over loops of other sizes is not entrywise once it is renamed, and is refused there",
        frozenset(("schedule._joined: a.size != b.size -> a.size == b.size",)),
    ),
    (
        "a diagonal whose two indices stand on the left side: what is off it is 0 either way",
        frozenset(
            (
                "diagonal._unified: isinstance(k, Index) and k in s.reduced -> isinstance(k, Index)",
            )
        ),
    ),
    (
        "the derivative of tanh(u) reads tanh(u) where it stands, or computes it anew",
        frozenset(("reverse._contributions: s.guard is None -> s.guard is not None",)),
    ),
    (
        "only the name under which a formula shows an adjoint is another",
        frozenset(
            (
                "reverse._fresh_tensor: t.adjoint_of and replace(t.adjoint_of, name=name.removeprefix('d_')) -> t.adjoint_of",
            )
        ),
    ),
    (
        "a tensor is set to 0 by one colon or by one for each axis",
        frozenset(("printer.Printer._clear: k in s.loops -> k not in s.loops",)),
    ),
    (
        "what sums has axes of its loops' own sizes: a part of an axis is written by a map, and nothing is cleared for it",
        frozenset(("schedule.clearable: k in s.loops and k.size == n -> k in s.loops",)),
    ),
    (
        "a let of the second sweep stands before the first one too",
        frozenset(("printer.Printer._logsumexp: p < split -> p <= split",)),
    ),
    (
        "a last square that nothing reads is dropped",
        frozenset(
            (
                "expressions._matrix_power: _contracted(low, 'matmul', square, square, span) if k else square -> "
                "_contracted(low, 'matmul', square, square, span)",
            )
        ),
    ),
    ("contributions are added in another order", frozenset(("reverse._as_definition: 'none' -> 'sum'",))),
    (
        "less is fused, or streamed in more regions, or cleared before it is written: the same values",
        frozenset(
            (
                "schedule._joined: s.out in written and written[s.out] != s.lhs -> s.out in written",
                "schedule._scattered: mode == '+=' and t not in done -> t not in done",
                "schedule.streamed: bool(over) and (not (s.out.shape and s.out.shape[0] == dim)) -> bool(over)",
                "schedule.streamed: bool(over) and (not (s.out.shape and s.out.shape[0] == dim)) -> "
                "not (s.out.shape and s.out.shape[0] == dim)",
                "schedule._streamable: len(over) > 1 -> len(over) >= 1",
                "schedule._joined: len(second.statements) != 1 -> len(second.statements) == 1",
            )
        ),
    ),
    ("contributions stay apart: the same sum in two statements", frozenset(("simplify._partner: -1 -> 1",))),
    (
        "the identity holds for every positive term, exponential or not",
        frozenset(
            (
                "stable._log_of_exponentials: t.is_number and t.is_positive -> t.is_positive",
                "stable._log_of_positive: any((isinstance(f, exp) for f in factors)) and all((f.is_positive for f in "
                "factors)) -> all((f.is_positive for f in factors))",
            )
        ),
    ),
    (
        "what the dropped test would refuse, an earlier rule has taken",
        frozenset(
            (
                "stable._log_of_product: isinstance(e, log) and (e.args[0].is_Mul or e.args[0].is_Pow) -> isinstance(e, log)",
            )
        ),
    ),
    (
        "the remainder holds the mirror image, so that the rule declines: two exponentials of the same value",
        frozenset(("stable._two_softplus: b * mirror -> b / mirror", "stable._two_softplus: b * mirror -> mirror")),
    ),
)  # fmt: skip
TABLE = {key: why for why, keys in REASONS for key in keys}


def reason(fault: Fault) -> str:
    """Why the fault changes no value, or ""."""
    return TABLE.get(fault.key, "")
