"""Declarations to data, parameters and hyper-parameters.

declare(sheet, "data", declaration, source)     adds to the sheet; SpecError names what a declaration cannot be
"""

from __future__ import annotations

import math
from dataclasses import replace

import sympy
from sympy import Expr

from symml.errors import SpecError, UnsupportedError
from symml.ir.program import REAL, Dim, Domain, Tensor
from symml.model.constants import number
from symml.model.domains import check_shape, domain_of
from symml.model.model import Data, Hyper, Init, Param
from symml.model.sheet import Sheet
from symml.syntax import tree
from symml.syntax.words import nearest

TRANSFORMS = ("standardised", "centred")
ROLES = ("weight", "lengths", "missing", "allowed", "sparse")
LARGEST_TENSOR = 2**40  # entries of a literal shape; the data's own sizes are checked when they are bound


def declare(sheet: Sheet, kind: str, item: tree.Declaration, source: tree.From | None) -> None:
    """Add a name of `data`, `param` or `hyper` to the sheet."""
    sheet.claim(item.name)
    shape = tuple(_size(sheet, size, item) for size in item.shape)
    domain = _lengths(sheet, item, shape) if "lengths" in item.flags else _domain(sheet, item)
    if "weight" in item.flags and domain is REAL:
        domain = Domain("interval", lower=0.0)
    if domain.kind == "subset":
        if kind != "data" or shape:
            raise SpecError("a subset is declared as data: labelled subset of n", item.span)
        shape = (_size(sheet, item.bound[1], item),)
    check_shape(item.name.id, shape, domain, item.span)
    tensor = Tensor(item.name.id, shape, kind, domain, item.name.span)
    if math.prod(int(s) for s in shape if s.is_Integer) > LARGEST_TENSOR:
        total = 8 * math.prod(int(s) for s in shape if s.is_Integer)
        raise SpecError(
            f"'{item.name.id}' would need {total:.3g} bytes; the limit is {8 * LARGEST_TENSOR:.3g}", item.span
        )
    flags = [f for f in item.flags if kind != "data" or f not in (*TRANSFORMS, *ROLES)]
    if flags:
        raise UnsupportedError(
            f"'{flags[0]}' is not supported yet for {kind}", item.span, fix=nearest(flags[0], TRANSFORMS)
        )
    if item.choice is not None and kind != "hyper":
        raise SpecError(
            "only a hyper-parameter is chosen", item.choice.span, fix="hyper lam in {1e-2, 1e-1} chosen by ..."
        )
    if kind == "data":
        if source is not None and source.columns is not None:
            named_columns(source.columns)
        if item.value is not None or item.init is not None:
            raise SpecError("data have no value on the page", item.span, fix='name a file: from "..."')
        transform = next((f for f in item.flags if f in TRANSFORMS), "")
        if transform and domain.kind != "real":
            raise SpecError(f"'{item.name.id}' is {domain.kind} and cannot be {transform}", item.span)
        role = next((word for word in ("weight", "lengths") if word in item.flags), "")
        if role == "weight" and (transform or any(d.role == role for d in sheet.data.values())):
            raise SpecError("the rows have one weight, as it is given", item.span)
        sheet.data[item.name.id] = Data(tensor, transform, source, item.span, role)
        if "missing" in item.flags or "allowed" in item.flags:
            sheet.data[item.name.id] = _missing(sheet, item, sheet.data[item.name.id])
        if "sparse" in item.flags:
            sheet.data[item.name.id] = _sparse(sheet, item, sheet.data[item.name.id])
    elif kind == "param":
        if domain.kind in ("label", "set"):
            raise UnsupportedError(
                f"'{item.name.id}' is chosen among separate values, which is not supported yet",
                item.span,
                fix="relax it to an interval, such as in [0, 1]",
            )
        sheet.params[item.name.id] = Param(tensor, _init(item), item.span)
    else:
        _hyper(sheet, item, tensor)


def _lengths(sheet: Sheet, item: tree.Declaration, shape: tuple[Expr, ...]) -> Domain:
    """`lengths L[N] in 1..T`: row i of what has the axes N, T holds L[i] entries."""
    fix = f"such as lengths {item.name.id}[N] in 1..T"
    bound = item.bound[1] if item.bound is not None and item.bound[0] == "in" else None
    if len(shape) != 1 or not isinstance(bound, tree.Range):
        raise SpecError("lengths are one number for each sequence, from 1 to the size of an axis", item.span, fix=fix)
    if number(bound.low) != 1 or not isinstance(bound.high, tree.Name) or bound.high.id not in sheet.dims:
        raise SpecError("a sequence has from 1 entry to as many as its axis", bound.span, fix=fix)
    return Domain("length", lower=1.0, size=sheet.dims[bound.high.id])


def _missing(sheet: Sheet, item: tree.Declaration, d: Data) -> Data:
    """`X[n, d] missing allowed` declares X_present as well: 1 where X has an entry."""
    if not {"missing", "allowed"} <= set(item.flags):
        raise SpecError("the words are: missing allowed", item.span)
    if d.transform or d.role or d.tensor.integer or not d.tensor.shape or d.tensor.domain.kind == "subset":
        raise UnsupportedError(f"'{item.name.id}' cannot lack entries: only plain numbers can", item.span)
    name = tree.Name(f"{item.name.id}_present", span=item.name.span)
    sheet.claim(name)
    mask = Tensor(name.id, d.tensor.shape, "data", Domain("set", values=(0.0, 1.0)), item.name.span)
    sheet.data[name.id] = Data(mask, "", None, item.span, "present", item.name.id)
    return replace(d, gaps=True)


def _sparse(sheet: Sheet, item: tree.Declaration, d: Data) -> Data:
    """`X[n, d] sparse` declares X_row, X_col and X_value of its stored entries as well."""
    if d.transform or d.role or d.gaps or d.tensor.domain is not REAL or len(d.tensor.shape) != 2:
        raise UnsupportedError(f"'{item.name.id}' cannot be sparse: only matrices of plain numbers can", item.span)
    entries = Dim(f"{item.name.id}_entries")
    for end, domain in (
        ("row", Domain("label", size=d.tensor.shape[0])),
        ("col", Domain("label", size=d.tensor.shape[1])),
        ("value", REAL),
    ):
        name = tree.Name(f"{item.name.id}_{end}", span=item.name.span)
        sheet.claim(name)
        tensor = Tensor(name.id, (entries,), "data", domain, item.name.span)
        sheet.data[name.id] = Data(tensor, "", None, item.span, end, item.name.id)
    return replace(d, role="sparse")


def named_columns(columns: tree.Expr) -> list[int] | list[str] | dict[str, list[str]]:
    """First and last of a range, as numbers from 1 or as titles; or the titles of a set."""
    if isinstance(columns, tree.Range):
        ends = (columns.low, columns.high)
        if all(isinstance(e, tree.Number) and isinstance(e.value, int) for e in ends):
            return [int(e.value) for e in ends]
        if all(isinstance(e, tree.Text) for e in ends):
            return [e.value for e in ends]
    elif (
        isinstance(columns, tree.SetLiteral) and columns.items and all(isinstance(e, tree.Text) for e in columns.items)
    ):
        return {"titles": [e.value for e in columns.items]}
    raise SpecError(
        "columns are a range of numbers or titles, or a set of titles",
        columns.span,
        fix='columns 1..30, columns "a".."b" or columns {"a", "b"}',
    )


def _hyper(sheet: Sheet, item: tree.Declaration, tensor: Tensor) -> None:
    if tensor.shape:
        raise UnsupportedError("a hyper-parameter is a number", item.span)
    value = None if item.value is None else number(item.value)
    domain = tensor.domain
    if value is not None and not _inside(value, domain):
        raise SpecError(f"{item.name.id} = {value:g} is outside its domain", item.value.span)
    if item.choice is not None and (value is not None or domain.kind != "set"):
        raise SpecError(
            f"'{item.name.id}' is chosen among the values of a set, and has none of its own",
            item.choice.span,
            fix=f"hyper {item.name.id} in {{1e-2, 1e-1, 1}} chosen by ...",
        )
    sheet.hypers[item.name.id] = Hyper(tensor, value, item.span, item.choice)


def _inside(value: float, domain: Domain) -> bool:
    if domain.kind == "set":
        return value in domain.values
    low, high = domain.lower, domain.upper
    above = low is None or value > low or (value == low and not domain.open[0])
    below = high is None or value < high or (value == high and not domain.open[1])
    return above and below


def _size(sheet: Sheet, node: tree.Expr, item: tree.Declaration) -> Expr:
    if isinstance(node, tree.Name):
        if node.id in sheet.dims:
            return sheet.dims[node.id]
        raise SpecError(
            f"unknown dim '{node.id}' in the shape of '{item.name.id}'",
            node.span,
            fix=nearest(node.id, sheet.dims) or f"declare it: dims {node.id}",
        )
    if isinstance(node, tree.Number) and isinstance(node.value, int) and node.value > 0:
        return sympy.Integer(node.value)
    raise SpecError("a size is a dim or a positive whole number", node.span)


def _domain(sheet: Sheet, item: tree.Declaration) -> Domain:
    if item.bound is None:
        return REAL
    op, node = item.bound
    if op == "subset":
        return Domain("subset", values=(0.0, 1.0))
    if op != "in":
        value = number(node)
        strict = op in ("<", ">")
        if op in (">", ">="):
            return Domain("interval", lower=value, open=(strict, False))
        return Domain("interval", upper=value, open=(False, strict))
    return domain_of(node, sheet.dims)


def _init(item: tree.Declaration) -> Init | None:
    node = item.init if item.init is not None else item.value
    if node is None:
        return None
    if isinstance(node, tree.Call) and node.function == "normal":
        if len(node.args) != 2:
            raise SpecError("normal takes a mean and a deviation", node.span, fix="such as init normal(0, 1/sqrt(d))")
        return Init("normal", node.args, node.span)
    if isinstance(node, tree.Call) and node.function == "sample":
        if len(node.args) != 1 or not isinstance(node.args[0], tree.Name):
            raise SpecError("sample takes rows of data", node.span, fix="such as init sample(X)")
        return Init("sample", node.args, node.span)
    if isinstance(node, tree.Call) and node.function == "uniform":
        raise UnsupportedError("init uniform is not supported yet", node.span, fix="use normal(0, s) or a number")
    return Init("constant", (node,), node.span)
