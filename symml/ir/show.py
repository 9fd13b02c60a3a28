"""Programs as text, one line a statement; byte-stable over hash seeds.

p[i] = σ(z[i])                                  for i < n
dw[j] += sum[i] X[i, j]*(p[i] - y[i])/n          for j < d
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sympy import Expr
from sympy.printing.str import StrPrinter

from symml.ir.functions import BY_CLASS, FUNCTIONS
from symml.ir.program import Access, Dim, Index, Library, Node, Program, Scan, Statement, Tensor, accesses, parts

LETTERS = "ijklmpqrstuvabcdefgh"


def letters(loops: Iterable[Index], taken: Collection[str] = ()) -> dict[Index, str]:
    """A letter for each index: its own where that is free, else the next of the alphabet; `taken` mean something else."""
    chosen: dict[Index, str] = {}
    for k in loops:
        used = {*chosen.values(), *taken}
        spare = (c for c in LETTERS if c not in used)
        chosen[k] = k.name if k.name not in used else next(spare, f"{k.name}{len(chosen)}")
    return chosen


def numbers_in(statements: Iterable[Statement]) -> frozenset[str]:
    """The names of the sizes and numbers that statements read: an index with such a letter would be taken for them."""
    found = [e for s in statements for e in parts(s)]
    sizes = {d.name for e in found for d in e.atoms(Dim)}
    return frozenset(sizes | {a.tensor.name for e in found for a in accesses(e) if not a.idx})


class BodyPrinter(StrPrinter):
    """sympy's printer with the indices' letters and the table's function names."""

    def __init__(self, chosen: dict[Index, str]) -> None:
        super().__init__({"order": None})
        self.chosen = chosen

    def _print_Index(self, expr: Index) -> str:
        return self.chosen.get(expr, expr.name)

    def _print_Dim(self, expr: Expr) -> str:
        return expr.name

    def _print_Access(self, expr: Access) -> str:
        inner = ", ".join(self._print(k) for k in expr.idx)
        return f"{expr.tensor.name}[{inner}]" if inner else expr.tensor.name

    def _print_Function(self, expr: Expr) -> str:
        row = FUNCTIONS[BY_CLASS[expr.func]]
        if row.text in ("<", "≤", "="):
            return f"[{self._print(expr.args[0])} {row.text} {self._print(expr.args[1])}]"
        return f"{row.text}({', '.join(self._print(a) for a in expr.args)})"


def as_on_a_page(text: str) -> str:
    """What sympy prints in the signs of the language: `2*x**2` is `2 x^2`."""
    return text.replace("**", "^").replace("*", " ")


def statement(s: Statement, outer: tuple[Index, ...] = ()) -> str:
    """One statement as a line; `outer` is the step of the scan around it."""
    printer = BodyPrinter(letters((*outer, *s.loops)))
    left = printer._print_Access(Access(s.out, s.lhs)).ljust(8)
    over = ", ".join(printer.doprint(k) for k in s.reduced)
    head = f"{s.reduce}[{over}] " if s.reduce != "none" else ""
    where = f"  where {printer.doprint(s.guard)}" if s.guard is not None else ""
    loops = ", ".join(f"{printer.doprint(k)} < {k.size}" for k in s.loops)
    return f"{left} {s.mode} {head}{printer.doprint(s.body)}{where}" + (f"    for {loops}" if loops else "")


def node(n: Node) -> list[str]:
    """A node as lines."""
    if isinstance(n, Statement):
        return [statement(n)]
    if isinstance(n, Library):
        return [f"{', '.join(t.name for t in n.outs)} = {n.op}({', '.join(t.name for t in n.args)})"]
    if isinstance(n, Scan):
        head = f"scan {n.step.name} < {n.step.size}{' downward' if n.reverse else ''}:"
        return [head, *(f"  {statement(s, (n.step,))}" for s in n.statements)]
    starts = ", ".join(f"{x.name} = {start.name}" for x, start, _ in n.states)
    moves = ", ".join(f"{x.name} = {new.name}" for x, _, new in n.states)
    head = f"iterate {starts}; then {moves} until {n.gap.name} < {n.tolerance:g}, at most {n.most} times:"
    return [head, *(f"  {line}" for inner in n.statements for line in node(inner))]


def declaration(t: Tensor) -> str:
    """An input as a line."""
    return f"{t.kind} {t!r}" + (f" in {t.domain.kind}" if t.domain.kind != "real" else "")


def program(p: Program) -> str:
    """The whole program."""
    lines = [declaration(t) for t in p.inputs] + [line for n in p.statements for line in node(n)]
    return "\n".join([*lines, "outputs " + ", ".join(f"{name} = {t.name}" for name, t in p.outputs.items())])
