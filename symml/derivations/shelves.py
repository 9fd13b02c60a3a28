"""`symml list`: the pages of the library, the methods of all rows and the functions of the language, as rows."""

from __future__ import annotations

import sympy
from sympy import Expr

from symml.errors import SpecError
from symml.ir.functions import FUNCTIONS
from symml.ir.optimizer import Optimizer
from symml.ir.program import Program, Statement, Tensor, direct_accesses
from symml.latex.index_form import formula_text
from symml.methods.known import KNOWN
from symml.model.builtins import BUILTINS, INTERNAL
from symml.model.library import names, page, remarks
from symml.model.optimizer import optimizer
from symml.syntax import tree
from symml.syntax.words import nearest

SHELVES = ("optimizers", "methods", "schedules", "functions")


def shelf(name: str) -> list[dict]:
    """The rows of a shelf: name, formulas as (LaTeX, text), parameters with their defaults, source."""
    if name not in SHELVES:
        raise SpecError(f"there is no list of '{name}'", fix=nearest(name, SHELVES) or f"one of {', '.join(SHELVES)}")
    shelves = {"optimizers": _optimizers, "methods": _methods, "schedules": _schedules, "functions": _functions}
    return shelves[name]()


def _methods() -> list[dict]:
    return [{"name": name, "of": form, "paper": paper} for name, (form, paper) in KNOWN.items()]


def _optimizers() -> list[dict]:
    return [optimizer_row(name) for name in names("optimizers")]


def optimizer_row(name: str) -> dict:
    """An optimiser of the library: its updates as (LaTeX, text), defaults, starts and paper."""
    tree_ = page("optimizers", name)
    o = optimizer(tree_)
    text = tree_.source.text.splitlines()
    lines = [s for s in tree_.statements if isinstance(s, tree.Update | tree.Define)]
    latex = _latex(o)
    return {
        "name": name,
        "source": remarks("optimizers", name),
        "hypers": {t.name: v for t, v in o.hypers.items()},
        "states": {t.name: o.starts[t] for t in (*o.state, *o.counters)},
        "updates": [{"latex": t, "text": text[s.span.line - 1]} for t, s in zip(latex, lines, strict=True)],
        "gives": (o.answer or o.theta).name,
    }


def _latex(o: Optimizer) -> list[str]:
    """The lines of a page: a new value stands behind an arrow, norms in their place, names as on the page."""
    old = {new: t for t, new in _renewed(o.program).items()}
    norms: dict[Expr, Expr] = {}
    found = []
    for s in o.program.statements:
        table = {a: Tensor(_page_name(a.tensor, old), (), "data")[()] for a in direct_accesses(s.body)}
        if s.reduce != "none":
            norms |= _norm(s, table)
            continue
        right = formula_text(s.body.xreplace(norms).xreplace(table))[0]
        left = formula_text(Tensor(_page_name(s.out, old), (), "data")[()])[0]
        found.append(rf"{left} {'=' if s.out not in old else chr(92) + 'leftarrow'} {right}")
    return found


def _norm(s: Statement, table: dict[Expr, Expr]) -> dict[Expr, Expr]:
    """What stands for the norm in later lines, and the norm as one symbol."""
    if s.reduce == "sum" and s.body.is_Pow:
        inside = formula_text(s.body.base.xreplace(table))[0]
        return {sympy.sqrt(s.out[()]): sympy.Symbol(rf"\lVert {inside} \rVert", real=True)}
    inside = formula_text(s.body.args[0].xreplace(table))[0]
    order = "1" if s.reduce == "sum" else r"\infty"
    return {s.out[()]: sympy.Symbol(rf"\lVert {inside} \rVert_{{{order}}}", real=True)}


def _renewed(program: Program) -> dict[Tensor, Tensor]:
    """Each input beside the tensors that hold its new value."""
    inputs = {f"new_{t.name}": t for t in program.inputs}
    return {inputs[s.out.name]: s.out for s in program.statements if s.out.name in inputs}


def _page_name(t: Tensor, old: dict[Tensor, Tensor]) -> str:
    return old[t].name if t in old else t.name


def _schedules() -> list[dict]:
    found = []
    for name in names("schedules"):
        tree_ = page("schedules", name)
        f = next(s for s in tree_.statements if isinstance(s, tree.Function))
        line = tree_.source.text.splitlines()[f.span.line - 1]
        found.append(
            {
                "name": name,
                "source": remarks("schedules", name),
                "parameters": [p.name.id for p in f.params],
                "definition": line.removeprefix("define "),
            }
        )
    return found


def _functions() -> list[dict]:
    """What may be called on a page: functions of numbers, then those of whole arrays."""
    plain = [n for n in FUNCTIONS if n not in INTERNAL]
    return [{"name": n, "of": "numbers"} for n in sorted(plain)] + [
        {"name": n, "of": "arrays"} for n in sorted(set(BUILTINS) - set(plain))
    ]
