"""Scalar bodies as Python source: every sub-expression at the outermost loop where it is known.

Body(storage, config).lines(...)      c1 = real(1/n) outside, e1 = v_w[j]*c1 where j is known, the rest in the lane
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import sympy
from sympy import Expr, Symbol

from symml.ir.functions import BY_CLASS, select
from symml.ir.program import Access, Dim, Index, Tensor, indices
from symml.targets.numba_cpu.config import Config

SPECIAL = ("erf", "erfc", "lgamma", "digamma", "trigamma", "polygamma")  # by loops: they do not vectorise
PRIMITIVES = ("exp", "log", "log1p", "expm1", "tanh", "sigmoid", "softplus", "relu", "step", "lost", *SPECIAL)
RENAMED: Mapping[str, str] = MappingProxyType({"abs": "absolute", "sign": "sign", "max": "maximum", "min": "minimum"})
NUMPY = ("sin", "cos", "tan", "sinh", "cosh", "arctan", "floor")
TESTS: Mapping[str, str] = MappingProxyType({"less": "<", "less_equal": "<=", "equal": "=="})


@dataclass
class Scope:
    """The lets of one nest: lines for each loop depth (0 is outside all loops), and the names made so far."""

    depth: int
    lines: list[list[str]] = field(default_factory=list)
    known: dict[Expr, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines = [[] for _ in range(self.depth + 1)]


class Bodies:
    """Prints the bodies of one nest; `fresh` gives names that are unique in the function. `primitives` are functions that
    the target supplies in each precision."""

    primitives: tuple[str, ...] = PRIMITIVES

    def __init__(
        self, storage: Mapping[Tensor, str], config: Config, fresh: Callable[[str], str], used: set[str]
    ) -> None:
        self.storage, self.config, self.fresh, self.used = storage, config, fresh, used

    def prepare(
        self,
        bodies: Sequence[Expr],
        loops: Sequence[Index],
        letters: Mapping[Index, str],
        defines: Sequence[Access] = (),
    ) -> tuple[Scope, list[str]]:
        """The lets of each depth and the text of each body in the innermost loop.

        With `defines`, body k is the value of element k: it becomes a let that later bodies read instead of memory,
        so that new values may overwrite old ones only after every body was computed.
        """
        scope = Scope(len(loops))
        shared, reduced = sympy.cse(list(bodies), symbols=(Symbol(f"%{k}") for k in itertools.count()))
        writer = _Writer(self, scope, list(loops), letters, dict(shared))
        texts = []
        for k, expr in enumerate(reduced):
            text = writer.text(expr, len(loops))
            if defines:
                name = self.fresh("e")
                scope.lines[len(loops)].append(f"{name} = {text}")
                scope.known[defines[k]] = text = name
            texts.append(text)
        return scope, texts

    def scalar(self, expr: Expr, letters: Mapping[Index, str] = MappingProxyType({})) -> str:
        """An expression without loops, in double precision; `letters` has the step of a scan around it."""
        return _Writer(self, Scope(0), [], letters, {}).plain(expr)

    def index(self, expr: Expr, letters: Mapping[Index, str]) -> str:
        """An index expression."""
        if isinstance(expr, Access):
            inner = ", ".join(self.index(k, letters) for k in expr.idx)
            return f"{self.storage[expr.tensor]}[{inner}]" if inner else self.storage[expr.tensor]
        if isinstance(expr, Index):
            return letters[expr]
        if isinstance(expr, Dim):
            return f"n_{expr.name}"
        if expr.is_Integer:
            return str(int(expr))
        op = " + " if expr.is_Add else "*"
        assert expr.is_Add or expr.is_Mul, expr
        return "(" + op.join(self.index(a, letters) for a in expr.args) + ")"


@dataclass
class _Writer:
    bodies: Bodies
    scope: Scope
    loops: list[Index]
    letters: Mapping[Index, str]
    shared: Mapping[Symbol, Expr]

    def level(self, expr: Expr) -> int:
        """The depth of the innermost loop an expression depends on."""
        deepest = max((self.loops.index(k) + 1 for k in indices(expr) if k in self.loops), default=0)
        return max([deepest, *(self.level(self.shared[s]) for s in expr.free_symbols if s in self.shared)])

    def let(self, expr: Expr, level: int) -> str:
        """A name for an expression, defined at its level."""
        if expr not in self.scope.known:
            text = self.text(expr, level) if level else f"real({self.plain(expr)})"
            name = self.bodies.fresh("c" if level == 0 else "e")
            self.scope.lines[level].append(f"{name} = {text}")
            self.scope.known[expr] = name
        return self.scope.known[expr]

    def text(self, expr: Expr, depth: int) -> str:
        """The text of an expression at a depth; what is known further out becomes a let there."""
        if expr in self.scope.known:
            return self.scope.known[expr]
        level = self.level(expr)
        if expr in self.shared:
            return self._shared(expr, level)
        if level < depth and not isinstance(expr, Index):
            return self.let(expr, level)
        if isinstance(expr, Access):
            return self.bodies.index(expr, self.letters)
        if isinstance(expr, Index):
            return f"real({self.letters[expr]})"
        if expr.is_Add or expr.is_Mul:
            return self._many(expr, depth)
        if expr.is_Pow:
            return self._power(expr, depth)
        if isinstance(expr, select):
            return self._select(expr, depth)
        return self._call(BY_CLASS[expr.func], [self.text(a, depth) for a in expr.args])

    def _select(self, expr: Expr, depth: int) -> str:
        """`a if test else b`, with the test as Python's own where it is a comparison."""
        test, a, b = expr.args
        return f"({self.text(a, depth)} if {self._condition(test, depth)} else {self.text(b, depth)})"

    def _condition(self, test: Expr, depth: int) -> str:
        if BY_CLASS.get(test.func) in TESTS and test not in self.scope.known and self.level(test) >= depth:
            left, right = (self.text(a, depth) for a in test.args)
            return f"{left} {TESTS[BY_CLASS[test.func]]} {right}"
        return f"{self.text(test, depth)} != 0"

    def _shared(self, symbol: Symbol, level: int) -> str:
        """A common sub-expression: a let where it is first wanted."""
        expr = self.shared[symbol]
        self.scope.known[symbol] = self.let(expr, level) if not expr.is_Symbol else self.text(expr, level)
        return self.scope.known[symbol]

    def _many(self, expr: Expr, depth: int) -> str:
        """Sums and products: the operands that are known further out are combined there."""
        early = [a for a in expr.args if self.level(a) < depth]
        late = [a for a in expr.args if self.level(a) >= depth]
        negative = expr.is_Mul and early and early[0].is_Number and early[0].is_negative
        if negative:
            early = [-early[0], *early[1:]] if early[0] != -1 else early[1:]
        parts = [self._early(expr.func, early)] if early else []
        if expr.is_Add:
            return self._sum("".join(parts), late, depth)
        over = [a for a in late if a.is_Pow and a.exp == -1]
        parts += [self._bracketed(a, depth) for a in late if a not in over]
        text = "*".join(parts) if parts else "real(1)"
        for a in over:
            text = f"{text}/{self._bracketed(a.base, depth)}"
        return f"(-{text})" if negative else text

    def _early(self, func: type, args: list[Expr]) -> str:
        combined = func(*args)
        return self.let(combined, self.level(combined)) if not isinstance(combined, Index) else self.text(combined, 0)

    def _sum(self, text: str, late: list[Expr], depth: int) -> str:
        for a in sorted(late, key=lambda a: a.could_extract_minus_sign()):
            if a.could_extract_minus_sign() and text:
                text = f"{text} - {self._bracketed(-a, depth)}"
            else:
                text = f"{text} + {self._bracketed(a, depth)}" if text else self._bracketed(a, depth)
        return f"({text})"

    def _bracketed(self, expr: Expr, depth: int) -> str:
        text = self.text(expr, depth)
        return f"({text})" if expr.is_Mul and expr not in self.scope.known and not text.startswith("(") else text

    def _power(self, expr: Expr, depth: int) -> str:
        base, exponent = self.text(expr.base, depth), expr.exp
        if exponent.is_Integer and 2 <= abs(int(exponent)) <= 4:
            if not base.isidentifier():
                base = self._named(base, depth)
            product = "*".join([base] * abs(int(exponent)))
            return f"({product})" if exponent > 0 else f"real(1)/({product})"
        if exponent == -1:
            return f"real(1)/({base})"
        if exponent in (sympy.Rational(1, 2), sympy.Rational(-1, 2)):
            root = f"math.sqrt({base})"
            return root if exponent > 0 else f"real(1)/{root}"
        return f"({base})**{self.text(exponent, depth)}"

    def _named(self, text: str, depth: int) -> str:
        name = self.bodies.fresh("p")
        self.scope.lines[depth].append(f"{name} = {text}")
        return name

    def _call(self, name: str, args: list[str]) -> str:
        if name in TESTS:
            return f"real({args[0]} {TESTS[name]} {args[1]})"
        if name in self.bodies.primitives or name in RENAMED:
            function = f"{RENAMED.get(name, name)}_{self.bodies.config.suffix}"
            self.bodies.used.add(function)
            return f"{function}({', '.join(args)})"
        assert name in NUMPY, name
        return f"np.{name}({', '.join(args)})"

    def plain(self, expr: Expr) -> str:
        """An expression of scalars in double precision."""
        if expr in self.shared:
            return self.plain(self.shared[expr])
        if isinstance(expr, Access):
            return self.bodies.storage[expr.tensor] if not expr.idx else self.bodies.index(expr, self.letters)
        if isinstance(expr, Index):
            return f"float({self.letters[expr]})"
        if isinstance(expr, Dim):
            return f"n_{expr.name}"
        if expr.is_Integer:
            return f"{int(expr)}.0"
        if expr.is_Number or expr.is_NumberSymbol:
            return repr(float(expr))
        args = [self.plain(a) for a in expr.args]
        if expr.is_Add:
            return "(" + " + ".join(args) + ")"
        if expr.is_Mul:
            return "(" + "*".join(args) + ")"
        if expr.is_Pow:
            return f"({args[0]}**{args[1]})" if expr.exp != -1 else f"(1.0/{args[0]})"
        if isinstance(expr, select):
            return f"({args[1]} if {args[0]} != 0.0 else {args[2]})"
        name = BY_CLASS[expr.func]
        if name in TESTS:
            return f"(1.0 if {args[0]} {TESTS[name]} {args[1]} else 0.0)"
        if name in self.bodies.primitives or name in RENAMED:
            function = f"{RENAMED.get(name, name)}_f64"
            self.bodies.used.add(function)
            return f"{function}({', '.join(args)})"
        return f"np.{name}({', '.join(args)})"
