"""Derivatives inside a page: `grad(f, x)`, `jacobian(f, x)`, `hessian(f, x)`, as statements like all others.

    g = grad(f, w);   minimize ||g||^2      the gradient of this is a second derivative

f is first brought to its stable form, with every definition that it reads, under names of its own; what is equal to what
the page computes anyway is shared later. x is a parameter, data, a hyper-parameter or a definition; x is held for itself: a
derivative by a definition leaves out how that came about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from symml.calculus import second
from symml.calculus.reverse import gradient
from symml.errors import SpecError, UnsupportedError
from symml.ir.program import Access, Index, Program, Statement, Tensor, fresh_indices, outs, renamed
from symml.model.values import Value, of_tensor
from symml.rewrite.dead import prune
from symml.rewrite.simplify import simplify
from symml.rewrite.stable import stabilise
from symml.syntax import tree

if TYPE_CHECKING:
    from symml.model.lower import Lowering

Env = Mapping[str, Index]
Made = tuple[Program, str]  # a program and the name of its output


def _grad(program: Program, x: Tensor) -> Made:
    return simplify(gradient(program, "f", (x,))), f"d_{x.name}"


def _jacobian(program: Program, x: Tensor) -> Made:
    return second.jacobian(program, "f", x).program, "jacobian"


def _hessian(program: Program, x: Tensor) -> Made:
    return second.hessian(simplify(gradient(program, "f", (x,))), x, x).program, "hessian"


KINDS: Mapping[str, tuple[Callable[[Program, Tensor], Made], bool]] = MappingProxyType(  # (how, of a number only)
    {"grad": (_grad, True), "jacobian": (_jacobian, False), "hessian": (_hessian, True)}
)


def derivative(low: Lowering, node: tree.Call, env: Env) -> Value:
    """The value of `grad(f, x)` and its kin."""
    if len(node.args) != 2:
        raise SpecError(
            f"{node.function} takes what is differentiated and by what", node.span, fix="such as grad(f, w)"
        )
    f, x = (low.expression(arg, env) for arg in node.args)
    make, of_number = KINDS[node.function]
    if x.tensor is None or x.tensor.integer:
        raise SpecError(
            "a derivative is by a name: a parameter, data or a definition", node.args[1].span, fix="define it first"
        )
    if of_number and f.rank:
        raise SpecError(
            f"{node.function} of a {f.described()}", node.args[0].span, fix="jacobian(f, x) is of any shape"
        )
    given, target = x.tensor, low.whole(f, node.span)
    if target is given:
        raise SpecError("a derivative of a name by itself", node.span)
    made, key = make(_alone(low, target, given), given)
    return of_tensor(_taken(low, prune(made, key), key, node))


def _alone(low: Lowering, target: Tensor, given: Tensor) -> Program:
    """The stable program of one tensor in which another is given."""
    statements = tuple(n for n in low.statements if given not in outs(n))
    if any(given in outs(n) and len(outs(n)) > 1 for n in low.statements):
        raise UnsupportedError(
            f"a derivative by '{given.name}', a part of a recurrence, is not supported yet", given.span
        )
    known = {t for n in statements for t in outs(n)}
    read = dict.fromkeys((*low.tensors.values(), given))
    inputs = tuple(t for t in read if t not in known)
    return simplify(stabilise(prune(Program(inputs, statements, {"f": target}, tuple(low.requires)), "f")))


def _taken(low: Lowering, program: Program, key: str, node: tree.Call) -> Tensor:
    """The statements of a program become the page's, under fresh names; the tensor of an output."""
    made = dict.fromkeys(t for n in program.statements for t in outs(n))
    table = {t: Tensor(low.names.fresh("t"), t.shape, domain=t.domain, span=node.span) for t in made}
    own = renamed(program, table)
    low.statements += own.statements
    found, k = own.outputs[key], fresh_indices(own.outputs[key].shape)
    one = Tensor(low.names.fresh("t"), found.shape, span=node.span)  # a definition names what one statement makes
    low.statements.append(Statement(one, k, "=", "none", k, Access(found, k), span=node.span))
    return one
