"""Lines in index form read again and computed: what is shown is what was compared, whatever its printer did.

off([("alpha[t + 1, k]", "=", "Q[k, obs[t + 1]] sum[j] P[j, k] alpha[t, j]   for t = 0..T − 2")], alpha, scope)  ->  2e-16

The reader knows the printed language alone: no bracket, letter or size comes from the statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from symml.ir.functions import FUNCTIONS
from symml.ir.reducers import REDUCERS

AXES = 12  # letters that may be bound at once
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
PLAIN = str.maketrans(RAISED, "0123456789-")
TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)|(?P<raised>[{RAISED}]+)"
    rf"|(?P<name>[^\W\d_]\u0304?[^\W{RAISED[:-1]}]*)|(?P<mark>\.\.|\*\*|[-−+*/()\[\]{{}},;^√<≤=>≥≠⊙|‖])"
)
COMPARED: Mapping[str, Callable] = MappingProxyType(
    {"<": np.less, "≤": np.less_equal, "=": np.equal, ">": np.greater, "≥": np.greater_equal, "≠": np.not_equal}
)
CALLED = MappingProxyType({row.text: row.numpy for row in FUNCTIONS.values() if row.text not in COMPARED})
BARS = MappingProxyType({"|": ("call", "abs"), "‖": ("norm", None)})
CONSTANTS = MappingProxyType({"pi": np.pi, "π": np.pi, "E": np.e, "oo": np.inf})


ALONG = "‖"  # the axis of a norm
FACTORS = ("(", "[", "√", "{", "*", "⊙", *BARS)
WORDS = ("where", "in", "and", "if", "otherwise")


class Unread(Exception):
    """Text that is not of the printed language, or names what nobody knows, or leaves open how far a letter runs."""


@dataclass(frozen=True)
class Part:
    """A piece of a line: what it is, its name or number, and what it is made of."""

    kind: str
    name: object = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Scope:
    """What names stand for: arrays, numbers and sizes by their printed names; letters: names that are indices first."""

    arrays: Mapping[str, np.ndarray]
    letters: frozenset[str] = frozenset()
    bound: Mapping[str, np.ndarray] = field(default_factory=dict)

    def over(self, letters: Iterable[tuple[str, np.ndarray]]) -> Scope:
        """The scope with letters that run over values, each along an axis of its own."""
        bound = dict(self.bound)
        for letter, values in letters:
            axis = len(bound)
            if axis >= AXES:
                raise Unread("too many letters")
            bound[letter] = np.reshape(values, [-1 if k == axis else 1 for k in range(AXES)])
        return replace(self, bound=bound)


def off(lines: Sequence[tuple[str, str, str]], truth: np.ndarray, scope: Scope) -> float:
    """How far what lines (left, = or +=, right) say of an array is from it, relative; infinite where they cannot be read."""
    truth = np.asarray(truth, float)
    found = np.zeros(truth.shape)
    try:
        for left, mode, right in sorted(lines, key=lambda line: line[1] != "="):
            _into(found, read(left), mode, right, scope)
    except (Unread, IndexError, ValueError, TypeError):
        return float("inf")
    same = (found == truth) | (np.isnan(found) & np.isnan(truth))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(found - truth) / np.maximum(1.0, np.abs(truth)))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))


def _into(found: np.ndarray, left: Part, mode: str, right: str, scope: Scope) -> None:
    """Put what one line says into the array."""
    right, _, steps = right.partition("   ")
    body = read(right)
    if found.ndim and not left.parts:  # a whole array by the name of another
        found[...] = value(body, scope)
        return
    named = dict(_steps(steps, scope)) if steps.startswith("for ") else {}
    letters = dict.fromkeys(x for part in left.parts for x in _letters(part))
    free = [x for x in letters if x in scope.letters or x in named or x not in scope.arrays]
    plain = {
        part.name: n for part, n in zip(left.parts, found.shape, strict=True) if part.kind == "at" and not part.parts
    }
    over = [(x, named[x] if x in named else np.arange(plain.get(x) or _size(x, (body, left), scope))) for x in free]
    inner = scope.over(over)
    places = tuple(np.asarray(value(part, inner), np.int64) for part in left.parts)
    shape = np.broadcast_shapes(*(v.shape for v in (*places, *inner.bound.values())))
    terms = np.asarray(value(body, inner), float)
    terms = np.broadcast_to(terms, shape) if shape else terms.reshape(())
    places = tuple(np.broadcast_to(p, shape) for p in places)
    if mode == "=":
        found[places] = terms
    else:
        np.add.at(found, places, terms)


def _steps(text: str, scope: Scope) -> Iterable[tuple[str, np.ndarray]]:
    """`for t = 0..T − 2, k = 0..n − 2`, in either direction."""
    for told in text.removeprefix("for ").split(", "):
        letter, _, ends = told.partition(" = ")
        low, high = sorted(int(value(read(end), scope)) for end in ends.split(".."))
        yield letter, np.arange(low, high + 1)


def _letters(part: Part) -> list[str]:
    own = [part.name] if part.kind == "at" and not part.parts else []
    return own + [x for p in part.parts for x in _letters(p)]


# reading


def read(text: str) -> Part:
    """The pieces of a printed expression."""
    reader = _Reader(text)
    found = reader.sum()
    if reader.token == "where":
        found = Part("where", None, (found, *reader.tests()))
    if reader.kind != "end":
        raise Unread(reader.rest)
    return found


class _Reader:
    """Precedence: + and −; then factors side by side and /, from the left; then powers."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.touching = text, 0, False
        self.kind, self.token = "", ""
        self.within = ""  # the bars that are open: the same mark closes them
        self.next()

    @property
    def rest(self) -> str:
        return self.text[self.at - len(self.token) :]

    def next(self) -> str:
        """The token that was read; goes on to the one behind it."""
        before, start = self.token, self.at
        while True:
            if self.at >= len(self.text):
                self.kind, self.token = "end", ""
                return before
            found = TOKEN.match(self.text, self.at)
            if found is None:
                raise Unread(self.text[self.at :])
            self.at = found.end()
            if found.lastgroup != "space":
                break
        self.touching = found.start() == start
        self.kind, self.token = found.lastgroup, found[0]
        return before

    def take(self, mark: str) -> None:
        if self.token != mark:
            raise Unread(self.rest)
        self.next()

    def sum(self) -> Part:
        minus = self.token in ("-", "−") and bool(self.next())
        found = self.product()
        found = Part("negative", None, (found,)) if minus else found
        while self.token in ("+", "-", "−"):
            sign = self.next()
            term = self.product()
            found = Part("add", None, (found, term if sign == "+" else Part("negative", None, (term,))))
        return found

    def product(self) -> Part:
        found = self.power()
        while True:
            if self.token == "/":
                self.next()
                found = Part("divide", None, (found, self.power()))
            elif (self.kind in ("number", "name") and self.token not in WORDS) or (
                self.token in FACTORS and self.token != self.within
            ):
                if self.token in ("*", "⊙"):
                    self.next()
                found = Part("multiply", None, (found, self.power()))
            else:
                return found

    def power(self) -> Part:
        found = self.atom()
        while self.kind == "raised" or self.token in ("^", "**"):
            if self.kind == "raised":
                exponent = Part("number", float(self.next().translate(PLAIN)))
            else:
                self.next()
                minus = self.token in ("-", "−") and bool(self.next())
                exponent = self.atom()
                exponent = Part("negative", None, (exponent,)) if minus else exponent
            found = Part("power", None, (found, exponent))
        return found

    def atom(self) -> Part:
        if self.kind == "number":
            return Part("number", float(self.next()))
        if self.kind == "name":
            return self.named()
        if self.token == "(":
            self.next()
            found = self.sum()
            self.take(")")
            return found
        if self.token == "[":
            self.next()
            found = self.test()
            self.take("]")
            return found
        if self.token == "{":
            return self.cases()
        if self.token in BARS:
            return self.barred()
        if self.token == "√":
            self.next()
            return Part("power", None, (self.atom(), Part("number", 0.5)))
        raise Unread(self.rest)

    def barred(self) -> Part:
        """|u| and ‖u‖, which do not stand inside of their like"""
        outer, self.within = self.within, self.next()
        found = Part(*BARS[self.within], (self.sum(),))
        self.take(self.within)
        self.within = outer
        return found

    def cases(self) -> Part:
        """{a if x < 0; b otherwise}"""
        self.take("{")
        found: list[Part] = []
        while True:
            value = self.sum()
            if self.token == "otherwise":
                self.next()
                self.take("}")
                return Part("cases", None, (*found, value))
            self.take("if")
            found += [value, Part("all", None, tuple(self.joined()))]
            self.take(";")

    def test(self, bare: bool = False) -> Part:
        left = self.sum()
        if self.token not in COMPARED:
            if bare:  # what is 0 or 1 itself
                return left
            raise Unread(self.rest)
        mark = self.next()
        return Part("test", mark, (left, self.sum()))

    def letter(self) -> tuple[str, tuple[Part, ...]]:
        """i, or i in 0..n − 2"""
        name = self.next()
        if self.token != "in":
            return name, ()
        self.next()
        low = self.sum()
        self.take("..")
        return name, (low, self.sum())

    def tests(self) -> list[Part]:
        """where a < b and c = d"""
        self.take("where")
        return self.joined()

    def joined(self) -> list[Part]:
        """a < b and c = d"""
        found = [self.test(bare=True)]
        while self.token == "and":
            self.next()
            found.append(self.test(bare=True))
        return found

    def named(self) -> Part:
        name = self.next()
        if self.token == "(" and self.touching and name in CALLED:
            return Part("call", name, self.inside("(", ")"))
        if self.token == "[" and self.touching:
            return self.over(name) if name in REDUCERS else Part("at", name, self.inside("[", "]"))
        return Part("at", name)

    def inside(self, begin: str, end: str) -> tuple[Part, ...]:
        self.take(begin)
        found = [self.sum()]
        while self.token == ",":
            self.next()
            found.append(self.sum())
        self.take(end)
        return tuple(found)

    def over(self, kind: str) -> Part:
        """sum[i, j where TEST] of the factors behind it."""
        self.take("[")
        letters = [self.letter()]
        while self.token == ",":
            self.next()
            letters.append(self.letter())
        guards = self.tests() if self.token == "where" else []
        self.take("]")
        minus = self.token in ("-", "−") and bool(self.next())
        body = self.product()
        body = Part("negative", None, (body,)) if minus else body
        return Part("over", (kind, tuple(letters)), (body, *guards))


# computing


def value(part: Part, scope: Scope) -> np.ndarray:
    """A piece as an array over the letters that are bound."""
    return _VALUES[part.kind](part, scope)


def _at(part: Part, scope: Scope) -> np.ndarray:
    missing = _missing(part, scope)
    if not part.parts and not missing:
        for found in (scope.bound, scope.arrays, CONSTANTS):
            if part.name in found:
                return np.asarray(found[part.name])
        raise Unread(part.name)
    if part.name not in scope.arrays:
        raise Unread(part.name)
    array = np.asarray(scope.arrays[part.name])
    along = [scope.bound[ALONG * (k + 1)] for k in range(missing) if ALONG * (k + 1) in scope.bound]
    if array.ndim != len(part.parts) + len(along):
        raise Unread(part.name)
    places = [np.asarray(value(p, scope)).astype(np.int64) for p in part.parts]
    places += along
    return array[
        tuple(np.clip(p, 0, n - 1) for p, n in zip(places, array.shape, strict=True))
    ]  # a guard leaves out what is outside


def _missing(part: Part, scope: Scope) -> int:
    """How many indices an array lacks inside of a norm, whose axes run over them."""
    own = part.kind == "at" and part.name in scope.arrays and (part.parts or part.name not in scope.bound)
    return np.ndim(scope.arrays[part.name]) - len(part.parts) if own and ALONG in scope.bound else 0


def _norm(part: Part, scope: Scope) -> np.ndarray:
    """The length of the vector that rows of arrays make, or all entries of a matrix."""
    opened = replace(scope, bound={**scope.bound, ALONG: np.asarray(0)})
    ends = {np.shape(scope.arrays[p.name])[-n:] for p in _within(part) if (n := _missing(p, opened))}
    if len(ends) != 1:
        raise Unread("‖")
    inner = scope.over((ALONG * (k + 1), np.arange(n)) for k, n in enumerate(*ends))
    axes = tuple(range(len(scope.bound), len(inner.bound)))
    found = np.asarray(value(part.parts[0], inner), float)
    return np.sqrt(np.sum(found**2, axes, keepdims=True))


def _within(part: Part) -> Iterable[Part]:
    yield part
    for p in part.parts:
        yield from _within(p)


def _all(tests: Sequence[Part], scope: Scope) -> np.ndarray:
    found = np.asarray(True)
    for test in tests:
        found = np.logical_and(found, value(test, scope))
    return found


def _cases(part: Part, scope: Scope) -> np.ndarray:
    *pairs, found = (value(p, scope) for p in part.parts)
    for k in reversed(range(0, len(pairs), 2)):
        found = np.where(pairs[k + 1], pairs[k], found)
    return found


def _over(part: Part, scope: Scope) -> np.ndarray:
    kind, letters = part.name
    inner = scope.over((x, _run(x, ends, part.parts, scope)) for x, ends in letters)
    axes = tuple(range(len(scope.bound), len(inner.bound)))
    body, *guards = part.parts
    found = np.asarray(value(body, inner), float)
    if guards:
        found = np.where(_all(guards, inner), found, REDUCERS[kind].neutral)
    shape = np.broadcast_shapes(found.shape or (1,) * AXES, *(inner.bound[x].shape for x, _ in letters))
    return np.expand_dims(REDUCERS[kind].numpy(np.broadcast_to(found, shape), axes), axes)


def _run(letter: str, ends: Sequence[Part], parts: Sequence[Part], scope: Scope) -> np.ndarray:
    if not ends:
        return np.arange(_size(letter, parts, scope))
    low, high = (int(value(end, scope).item()) for end in ends)
    return np.arange(low, high + 1)


def _size(letter: str, parts: Sequence[Part], scope: Scope) -> int:
    """How far a letter runs: over all that it is an index of."""
    found = [n for part in parts for n in _reaches(letter, part, scope)]
    if not found:
        raise Unread(letter)
    return min(found)


def _reaches(letter: str, part: Part, scope: Scope) -> Iterable[int]:
    array = np.asarray(scope.arrays[part.name]) if part.kind == "at" and part.name in scope.arrays else None
    for k, p in enumerate(part.parts):
        if array is not None and k < array.ndim:
            later = p.parts[1].name if p.kind == "add" and p.parts[1].kind == "number" else 0.0
            if (p.parts[0] if later else p) == Part("at", letter):
                yield array.shape[k] - int(later)
        yield from _reaches(letter, p, scope)


_VALUES: Mapping[str, Callable[[Part, Scope], np.ndarray]] = MappingProxyType(
    {
        "number": lambda p, s: np.float64(p.name),
        "at": _at,
        "over": _over,
        "norm": _norm,
        "cases": _cases,
        "all": lambda p, s: _all(p.parts, s),
        "where": lambda p, s: np.where(_all(p.parts[1:], s), value(p.parts[0], s), 0.0),
        "call": lambda p, s: CALLED[p.name](*(value(x, s) for x in p.parts)),
        "test": lambda p, s: COMPARED[p.name](*(value(x, s) for x in p.parts)).astype(float),
        "negative": lambda p, s: -value(p.parts[0], s),
        "add": lambda p, s: value(p.parts[0], s) + value(p.parts[1], s),
        "multiply": lambda p, s: value(p.parts[0], s) * value(p.parts[1], s),
        "divide": lambda p, s: value(p.parts[0], s) / value(p.parts[1], s),
        "power": lambda p, s: np.power(value(p.parts[0], s), value(p.parts[1], s)),
    }
)
