"""Every product of `symml derive`, by the name of its flag: a function from a Request to rows.

A new product is a file beside this one, a line here, and an option of `derive` in cli/pages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from symml.analysis import Analysis, analyse, differentiate
from symml.derivations import convexity, dual, gradients, kkt, second_order, stationary, steps, total, updates
from symml.derivations.request import Request
from symml.errors import SpecError
from symml.ir.program import Program
from symml.model.letters import problem, readings
from symml.model.limits import check_limits
from symml.model.model import Model
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.source import Source
from symml.syntax.words import nearest

PRODUCTS: Mapping[str, Callable[[Request], list[dict]]] = MappingProxyType(
    {
        "gradient": gradients.product,
        "steps": steps.product,
        "kkt": kkt.product,
        "convexity": convexity.product,
        "dual": dual.product,
        "stationary": stationary.product,
        "updates": updates.product,
        "order": second_order.order,
        "block": second_order.block,
        "jacobian": second_order.jacobians,
        "hvp": second_order.hvp,
        "jvp": second_order.jvp,
        "vjp": second_order.vjp,
        "directional": second_order.directional,
        "divergence": second_order.divergence,
        "total": total.product,
        "taylor": second_order.taylor,
    }
)
OF_QUANTITIES = ("jacobian", "jvp", "vjp", "divergence")  # they take what is no number as well


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
        wrt, product, argument = _repeated(wrt, product, argument)
        model, program = problem(source, wrt, kinds)
        check_limits(program)
        if "value" in program.outputs:
            product = "jacobian" if product == "gradient" else product
            if product not in OF_QUANTITIES:
                raise SpecError("this is of a scalar expression", fix="give its sum or norm, or ask for --jacobian f")
            a = _plain(model, program)
        else:
            a = differentiate(model, program)
    else:
        a = analyse(source)
    known = tuple(t.name for t in a.model.over)
    if wrt is not None and wrt not in known:
        raise SpecError(f"'{wrt}' is not trained here", fix=nearest(wrt, known) or f"one of {', '.join(known)}")
    rows = PRODUCTS[product](Request(a, is_expression, argument, wrt or "", form, verify))
    read = readings(source, kinds) if is_expression else {}
    if read and rows:
        rows[0]["read"] = read
    return rows


def _repeated(wrt: str | None, product: str, argument: str) -> tuple[str | None, str, str]:
    """`--wrt x,x` is the second derivative in x."""
    names = [n.strip() for n in (wrt or "").split(",")]
    if len(names) > 1 and len(set(names)) == 1 and product == "gradient":
        return names[0], "order", str(len(names))
    return wrt, product, argument


def _plain(model: Model, program: Program) -> Analysis:
    """A page without a number to differentiate: its quantities alone."""
    forward = simplify(stabilise(program))
    return Analysis(model, program, program, forward, forward)
