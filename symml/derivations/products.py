"""Every product of `symml derive`, by the name of its flag: a function from a Request to rows.

A new product is a file beside this one, a line here, and an option of `derive` in cli/pages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from symml.analysis import analyse, differentiate
from symml.derivations import dual, gradients, kkt, steps
from symml.derivations.request import Request
from symml.errors import SpecError
from symml.model.letters import problem
from symml.model.limits import check_limits
from symml.source import Source
from symml.syntax.words import nearest

PRODUCTS: Mapping[str, Callable[[Request], list[dict]]] = MappingProxyType(
    {"gradient": gradients.product, "steps": steps.product, "kkt": kkt.product, "dual": dual.product}
)


def derive(
    source: Source,
    is_expression: bool,
    wrt: str | None,
    form: str,
    kinds: Mapping[str, str],
    verify: bool = False,
    product: str = "gradient",
    argument: str = "",
) -> list[dict]:
    """A product of a page, or of an expression; kinds: the names that are read as scalar, vector or matrix."""
    if is_expression:
        model, program = problem(source, wrt, kinds)
        check_limits(program)
        a = differentiate(model, program)
    else:
        a = analyse(source)
    known = tuple(t.name for t in a.model.over)
    if wrt is not None and wrt not in known:
        raise SpecError(f"'{wrt}' is not trained here", fix=nearest(wrt, known) or f"one of {', '.join(known)}")
    return PRODUCTS[product](Request(a, is_expression, argument, wrt or "", form, verify))
