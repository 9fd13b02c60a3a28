"""`symml list`: the pages of the library, the methods of all rows and the functions of the language, as rows."""

from __future__ import annotations

from symml import names as spelled
from symml.derivations.page_text import written
from symml.errors import SpecError
from symml.ir.functions import FUNCTIONS
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
    lines = [s for s in tree_.statements if isinstance(s, tree.Update | tree.Define)]
    return {
        "name": name,
        "source": remarks("optimizers", name),
        "hypers": {t.name: v for t, v in o.hypers.items()},
        "states": {t.name: o.starts[t] for t in (*o.state, *o.counters)},
        "updates": [_line(s) for s in lines],
        "gives": (o.answer or o.theta).name,
    }


def _line(s: tree.Update | tree.Define) -> dict[str, str]:
    """A line of a page as LaTeX and text; a new value stands behind an arrow."""
    right = written(s.value)
    assert right is not None, "a page of the library that is not read as it is written"
    mark = (r"\leftarrow", "←") if isinstance(s, tree.Update) else ("=", "=")
    left = (spelled.latex(s.target.id), spelled.unicode(s.target.id))
    return {"latex": f"{left[0]} {mark[0]} {right[0]}", "text": f"{left[1]} {mark[1]} {right[1]}"}


def _schedules() -> list[dict]:
    found = []
    for name in names("schedules"):
        tree_ = page("schedules", name)
        f = next(s for s in tree_.statements if isinstance(s, tree.Function))
        found.append(
            {
                "name": name,
                "source": remarks("schedules", name),
                "parameters": [p.name.id for p in f.params],
                "definition": _definition(f),
            }
        )
    return found


def schedules_in(value: tree.Expr) -> list[dict[str, str]]:
    """The definitions of the schedules that an expression names, as LaTeX and text, the outer one first."""
    if not isinstance(value, tree.Call):
        return []
    found = [s["definition"] for s in _schedules() if s["name"] == value.function]
    return found + [d for a in value.args for d in schedules_in(a)]


def _definition(f: tree.Function) -> dict[str, str]:
    """`name(parameters) = value` as LaTeX and text."""
    right = written(f.value)
    assert right is not None, "a page of the library that is not read as it is written"
    parameters = [(spelled.latex(p.name.id), spelled.unicode(p.name.id)) for p in f.params]
    inside = [", ".join(p[k] for p in parameters) for k in (0, 1)]
    left = (rf"\mathrm{{{f.name.id}}}\left({inside[0]}\right)", f"{f.name.id}({inside[1]})")
    return {"latex": f"{left[0]} = {right[0]}", "text": f"{left[1]} = {right[1]}"}


def _functions() -> list[dict]:
    """What may be called on a page: functions of numbers, then those of whole arrays."""
    plain = [n for n in FUNCTIONS if n not in INTERNAL]
    return [{"name": n, "of": "numbers"} for n in sorted(plain)] + [
        {"name": n, "of": "arrays"} for n in sorted(set(BUILTINS) - set(plain))
    ]
