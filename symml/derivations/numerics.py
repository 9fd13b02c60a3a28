"""`symml check --numerics`: bits of error of what a page writes and of what is computed in its place, side by side.

A statement that the rewriting changes is one row. Where one body became another, what it reads is drawn by itself, of
log-uniform magnitude; where a body sees through definitions, the inputs of the page are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import mpmath
import numpy as np
from sympy import Expr

from symml.ir.evaluate import evaluate
from symml.ir.program import Access, Program, Statement, Tensor, flat
from symml.ir.show import BodyPrinter, letters
from symml.proof.high_precision import truth, ulps
from symml.proof.numerics import Errors, Judged, bits, bodies, draw, is_float, judge
from symml.proof.samples import sample
from symml.rewrite.dead import prune
from symml.rewrite.numeric.engine import numeric, numeric_body
from symml.rewrite.stable import stabilise, stable_body

SAMPLES = 300
DRAWS = 24
POWERS = (-6.0, 3.0)  # of ten, by which the unbounded inputs of a page are scaled


def rows(program: Program, seed: int = 0) -> list[dict]:
    """One row for each statement that is computed otherwise than it is written."""
    rng = np.random.default_rng(seed)
    found = []
    changed = stabilise(program)
    after = {_key(s, k): s for k, s in _numbered(changed)}
    for k, s in _numbered(program):
        alone = numeric_body(stable_body(s.body))
        seen = after.get(_key(s, k), s)
        if seen.body == stable_body(s.body):
            judged = None if alone == s.body else _of_body(s, alone, rng)
            text = alone
        else:
            judged, text = _of_program((program, s), (changed, seen), rng), numeric_body(seen.body)
        if judged is not None:
            found.append(_row(s, text, seen, judged))
    return found


def _numbered(program: Program) -> Iterator[tuple[int, Statement]]:
    """Each statement with its number among those of its tensor."""
    count: dict[Tensor, int] = {}
    for s in flat(program.statements):
        count[s.out] = count.get(s.out, -1) + 1
        yield count[s.out], s


def _key(s: Statement, number: int) -> tuple[Tensor, int]:
    return s.out, number


def _of_body(s: Statement, new: Expr, rng: np.random.Generator) -> Judged | None:
    naive, other = bodies(s.body, new)
    if not naive.inputs:
        return None
    return judge(naive, other, draw(naive, SAMPLES, rng))


def _of_program(
    written: tuple[Program, Statement], stable: tuple[Program, Statement], rng: np.random.Generator
) -> Judged | None:
    """Both statements before their reduction, in their programs, at inputs of many magnitudes."""
    s, seen = written[1], stable[1]
    if s not in written[0].statements or s.guard is not None or s.loops != seen.loops:
        return None
    entries = Tensor("value", tuple(k.size for k in s.loops))
    pair = [_cut(*written, entries), numeric(_cut(*stable, entries))]
    values, dims = sample(pair[0], rng)
    errors, known_count = ([], []), 0
    worst = (-1.0, {}, (0.0, 0.0, ""))
    for _ in range(DRAWS):
        at = {t: _scaled(t, v, rng) for t, v in values.items()}
        try:
            exact = truth(pair[0], at, dims)["value"].ravel()
        except (ArithmeticError, ValueError):
            continue
        exact = np.array([v if isinstance(v, mpmath.mpf) else mpmath.nan for v in exact], object)
        known = is_float(exact)
        with np.errstate(all="ignore"):
            got = [np.ravel(evaluate(p, at, dims)[p.outputs["value"]]) for p in pair]
        lost = [bits(ulps(g[known], exact[known])) for g in got]
        known_count += int(known.sum())
        for kept, b, g in zip(errors, lost, got, strict=True):
            kept.append((b, int((~np.isfinite(g[known])).sum())))
        if known.any() and (gain := lost[0] - lost[1]).max() > worst[0]:
            k = int(np.flatnonzero(known)[np.argmax(gain)])
            sizes = {f"max |{t.name}|": float(np.abs(v).max()) for t, v in at.items()}
            worst = (float(gain.max()), sizes, (float(got[0][k]), float(got[1][k]), mpmath.nstr(exact[k], 17)))
    if not known_count:
        return None
    totals = [(np.concatenate([b for b, _ in kept]), sum(n for _, n in kept)) for kept in errors]
    naive, rewritten = (Errors(float(b.mean()), float(b.max()), n) for b, n in totals)
    return Judged(known_count, naive, rewritten, worst[1], worst[2])


def _cut(program: Program, s: Statement, entries: Tensor) -> Program:
    """The program up to a statement, whose body is kept entry by entry."""
    before = program.statements[: program.statements.index(s)]
    whole = replace(s, out=entries, lhs=s.loops, mode="=", reduce="none")
    return prune(Program(program.inputs, (*before, whole), {"value": entries}, program.requires), "value")


def _scaled(t: Tensor, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    bounded = t.integer or t.domain.values or t.domain.lower is not None or t.domain.upper is not None
    return v if bounded or t.domain.kind != "real" else v * 10.0 ** rng.uniform(*POWERS)


def _row(s: Statement, new: Expr, seen: Statement, judged: Judged) -> dict:
    """A row as JSON."""
    left, naive = _text(s, s.body)
    place = s.span or s.out.span
    return {
        "name": s.out.name if s.out.kind == "definition" else "",
        "left": left,
        "line": place.line if place is not None else None,
        "naive": naive,
        "rewritten": _text(seen, new)[1],
        "samples": judged.samples,
        "bits": {"naive": asdict(judged.naive), "rewritten": asdict(judged.rewritten)},
        "worst": {
            "at": dict(judged.worst),
            "naive": _json(judged.at_worst[0]),
            "rewritten": _json(judged.at_worst[1]),
            "truth": judged.at_worst[2],
        },
    }


def _text(s: Statement, body: Expr) -> tuple[str, str]:
    printer = BodyPrinter(letters(s.loops))
    return printer._print_Access(Access(s.out, s.lhs)), printer.doprint(body)


def _json(v: float) -> float | str:
    """A float that JSON holds; else its name."""
    return v if np.isfinite(v) else str(v)
