"""Random pages, directed by types: every definition reaches the loss, names are reused, values stay where functions live.

An expression carries an interval of its values (data within 3.5, parameters within 2), so a logarithm, a root or a
quotient stands only where its argument is known to be in the domain. Names are chosen to collide with what symml and
its targets make themselves (t1, at1, lse1, d_w, rows, start ...), and index letters mean different dims in turn.

    text(17)              the page of seed 17; the same text on every machine
    text(17, short=True)  one of the same kinds with one definition, at a third of the cost
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

LETTERS = "ijklpqr"
NAMES = tuple(
    (
        "w W b B theta beta gamma lambda1 mu t1 t2 at1 lse1 d_w d_W g x X y S Q E e N rows start real np v_x n_d acc "
        "out work s1 e1 c1 m1 Z H A u v z U V p1 alpha sigma tau math self range sizes at2"
    ).split()
)
WIDEST = 25.0


@dataclass(frozen=True)
class Term:
    """Text and the interval of its values; `tight` needs no brackets as a factor."""

    text: str
    low: float
    high: float
    tight: bool = False

    @property
    def factor(self) -> str:
        return self.text if self.tight else f"({self.text})"

    @property
    def most(self) -> float:
        return max(abs(self.low), abs(self.high))


@dataclass
class Known:
    """A tensor of the page: name, dims, interval; `label` is the dim whose codes it holds; how often it was read."""

    name: str
    dims: tuple[str, ...]
    low: float
    high: float
    kind: str
    label: str = ""
    uses: int = 0


def times(a: Term, b: Term) -> tuple[float, float]:
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return min(ends), max(ends)


def text(seed: int, short: bool = False) -> str:
    """The page of a seed."""
    return Writer(random.Random(seed), short).page(seed)


UNARY: tuple[tuple[Callable[[Term], bool], str, Callable[[Term], tuple[float, float]]], ...] = (
    (lambda a: True, "tanh({})", lambda a: (-1, 1)),
    (lambda a: True, "sigmoid({})", lambda a: (0.0, 1)),
    (lambda a: True, "softplus({})", lambda a: (0.0, a.most + 0.7)),
    (lambda a: True, "sin({})", lambda a: (-1, 1)),
    (lambda a: True, "cos({})", lambda a: (-1, 1)),
    (lambda a: True, "arctan({})", lambda a: (-1.6, 1.6)),
    (lambda a: True, "relu({})", lambda a: (0, max(0, a.high))),
    (lambda a: True, "abs({})", lambda a: (0, a.most)),
    (lambda a: True, "|({})|", lambda a: (0, a.most)),
    (lambda a: True, "log(1 + ({})^2)", lambda a: (0, 7)),
    (lambda a: True, "log1p(({})^2)", lambda a: (0, 7)),
    (lambda a: True, "sqrt(1 + ({})^2)", lambda a: (1, a.most + 1)),
    (lambda a: True, "exp(-({})^2)", lambda a: (0, 1)),
    (lambda a: True, "log(sigmoid({}))", lambda a: (-a.most - 0.7, 0)),
    (lambda a: True, "log(1 - sigmoid({}))", lambda a: (-a.most - 0.7, 0)),
    (lambda a: a.most < 20, "log(1 + exp({}))", lambda a: (0, a.most + 0.7)),
    (lambda a: a.most < 20, "exp({0}) / (1 + exp({0}))", lambda a: (0, 1)),
    (lambda a: a.most < 20, "log(2 exp({0}) + 3)", lambda a: (1, a.most + 1.7)),
    (lambda a: a.most < 5, "({})^2", lambda a: (0, a.most**2)),
    (lambda a: a.most < 3, "({})^3", lambda a: (-(a.most**3), a.most**3)),
    (lambda a: a.most < 3, "exp({})", lambda a: (0.04, 20.1)),
    (lambda a: a.most < 3, "expm1({})", lambda a: (-1, 19.1)),
    (lambda a: a.most < 3, "sinh({})", lambda a: (-10.1, 10.1)),
    (lambda a: a.most < 3, "cosh({})", lambda a: (1, 10.1)),
    (lambda a: True, "tan(arctan({})/2)", lambda a: (-1, 1)),
    (lambda a: a.most < 1, "log1p(({})/2)", lambda a: (-0.7, 0.5)),
    (lambda a: True, "1 / (1 + ({})^2)", lambda a: (0, 1)),
    (lambda a: a.low >= 0.02, "log({})", lambda a: (-4, 3.3)),
    (lambda a: a.low >= 0.02, "sqrt({})", lambda a: (0.1, a.high + 1)),
    (lambda a: a.low >= 0.05, "1/({})", lambda a: (1 / a.high, 1 / a.low)),
    (lambda a: a.low >= 0.05, "({})^(-3/2)", lambda a: (0, a.low**-1.5)),
    (lambda a: a.low >= 0.05 and a.high < 9, "({})^(1/2)", lambda a: (0.2, 3)),
    (lambda a: a.low >= 0.2 and a.high < 4, "({})^1.7", lambda a: (0.06, 11)),
)


@dataclass
class Writer:
    """One page in the making."""

    rng: random.Random
    short: bool = False
    known: list[Known] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    # the page

    def page(self, seed: int) -> str:
        rng = self.rng
        self.names = rng.sample(NAMES, len(NAMES))
        self.dims = rng.sample("ndmhc", rng.choice((2, 2, 3, 3)))
        sized = [f"{d} = {rng.choice((3, 4))}" if k and rng.random() < 0.2 else d for k, d in enumerate(self.dims)]
        self.lines = [f"model g{seed}", "dims " + ", ".join(sized)]
        self._inputs()
        for _ in range(1 if self.short else rng.choice((1, 2, 2, 3, 3, 4))):
            self._definition()
        goal = rng.choice(("minimize", "minimize", "minimize", "maximize"))
        params = [t.name for t in self.known if t.kind == "param"]
        loss = self._loss()
        over = f" over {', '.join(params)}" if rng.random() < 0.7 else ""
        definitions = [line for line in self.lines if not line.startswith(("model", "dims", "data", "param", "hyper"))]
        head = self.lines[: len(self.lines) - len(definitions)]
        if rng.random() < 0.3:
            rng.shuffle(definitions)  # they may stand in any order
        return "\n".join([*head, *definitions, f"{goal}{over}  {loss}"]) + "\n"

    def _claim(self) -> str:
        return self.names.pop()

    def _add(self, dims: tuple[str, ...], low: float, high: float, kind: str, label: str = "") -> Known:
        self.known.append(Known(self._claim(), dims, low, high, kind, label))
        return self.known[-1]

    def _declare(self, kind: str, t: Known, rest: str = "") -> None:
        shape = f"[{', '.join(t.dims)}]" if t.dims else ""
        self.lines.append(f"{kind} {t.name}{shape}{rest}")

    def _inputs(self) -> None:
        rng, dims = self.rng, self.dims
        rows, others = dims[0], dims[1:]
        for d in others:
            self._declare("data", self._add((rows, d), -3.5, 3.5, "data"))
        bounds = ((" in {0, 1}", 0, 1), (" > 0", 0.4, 1.6), (" in (0, 1)", 0.2, 0.8), ("", -3.5, 3.5))
        for bound, low, high in rng.sample(bounds, 2):
            self._declare("data", self._add((rng.choice(dims),), low, high, "data"), bound)
        if rng.random() < 0.6:
            label = rng.choice(dims)
            self._declare("data", self._add((rng.choice(dims),), 0, 2, "data", label), f" in {label}")
        if rng.random() < 0.4:
            self._declare("hyper", self._add((), 0.4, 1.6, "hyper"), " > 0 = 0.3")
        pairs = [(a, b) for a in dims for b in dims]
        shapes = [rng.choice(pairs), (rng.choice(others),), rng.choice([(), *pairs, *((d,) for d in dims)])]
        for shape in shapes[: 1 if self.short else rng.choice((1, 2, 3, 3))]:
            self._declare("param", self._add(shape, -2, 2, "param"), " init 1/2")

    # leaves

    def _real(self) -> list[Known]:
        return [t for t in self.known if not t.label]

    def _position(self, dim: str, env: dict[str, str], depth: int = 0) -> str | None:
        """An index expression for an axis: a letter, a label, or a number."""
        rng = self.rng
        letters = [k for k, d in env.items() if d == dim]
        labels = [t for t in self.known if t.label == dim and depth < 2]
        rng.shuffle(labels)
        if labels and (not letters or rng.random() < 0.3):
            for t in labels:
                inner = [self._position(d, env, depth + 1) for d in t.dims]
                if None not in inner:
                    t.uses += 1
                    return f"{t.name}[{', '.join(inner)}]"
        if letters and rng.random() < 0.95:
            return rng.choice(letters)
        return str(rng.choice((0, 1))) if rng.random() < 0.3 else None

    def _leaf(self, env: dict[str, str], must: str = "") -> Term:
        """An element, unread tensors and parameters first; with `must`, one that walks this letter."""
        candidates = sorted(
            self._real(),
            key=lambda t: (t.uses * 2 - (t.kind != "data") - 2 * (not must and t.uses == 0), self.rng.random()),
        )
        for t in candidates:
            if must and env[must] not in t.dims:
                continue
            at = [self._position(d, env) for d in t.dims]
            if must and None not in at and must not in at:
                at[t.dims.index(env[must])] = must
            if None not in at:
                t.uses += 1
                return Term(f"{t.name}[{', '.join(at)}]" if at else t.name, t.low, t.high, True)
        if must:
            t = next(t for t in self._real() if env[must] in t.dims)
            at = ["0"] * len(t.dims)
            at[t.dims.index(env[must])] = must
            return Term(f"{t.name}[{', '.join(at)}]", t.low, t.high, True)
        if env and self.rng.random() < 0.3:
            k = self.rng.choice(list(env))
            return Term(f"1/({k} + 2)", 0.1, 0.5)
        value, low = self.rng.choice((("1/2", 0.5), ("2", 2), ("0.3", 0.3), ("pi", 3.15), (f"1/{self.dims[0]}", 0.2)))
        return Term(value, low * 0.9, low * 1.2, value.isalnum())

    # index form

    def scalar(self, env: dict[str, str], depth: int) -> Term:
        """One number under the indices of env."""
        pick = self.rng.random()
        if depth <= 0 or pick < 0.1:
            return self._leaf(env)
        if pick < 0.32:
            return self._unary(self.scalar(env, depth - 1))
        if pick < 0.72:
            return self._binary(env, depth)
        return self._reduction(env, depth)

    def _unary(self, a: Term) -> Term:
        fitting = [row for row in UNARY if row[0](a)]
        _, form, interval = self.rng.choice(fitting)
        return self._kept(
            Term(form.format(a.text), *interval(a), "(" in form and form[0].isalpha() and "/" not in form)
        )

    def _kept(self, a: Term) -> Term:
        """Squeezed where it may be large."""
        if a.most <= WIDEST:
            return a
        form, most = self.rng.choice((("tanh({})", 1.0), ("arctan({})", 1.6), ("sin({})", 1.0), ("softsign", 1.0)))
        if form == "softsign":
            return Term(f"{a.factor} ./ (1 + abs({a.text}))", -1, 1)
        return Term(form.format(a.text), -most, most, True)

    def _binary(self, env: dict[str, str], depth: int) -> Term:
        rng = self.rng
        a, b = self.scalar(env, depth - 1), self.scalar(env, depth - 1 if rng.random() < 0.5 else 0)
        kind = rng.choice("++--****/mMIIj")
        if kind == "/":
            if b.low < 0.05:
                b = Term(f"{rng.choice(('1', '0.7', '2'))} + {b.factor}^2", 0.7, 2 + b.most**2)
            return self._kept(Term(f"{a.factor}/{b.factor}", -a.most / b.low, a.most / b.low))
        if kind in "mM":
            low, high = (min(a.low, b.low), max(a.high, b.high))
            return Term(f"{'min' if kind == 'm' else 'max'}({a.text}, {b.text})", low, high, True)
        if kind == "I":
            test, c = self._test(env), self._leaf(env)
            product = f"[{test}] {a.factor}"
            return self._kept(Term(f"{product} + {c.text}", c.low - a.most, c.high + a.most))
        if kind in "+-":
            low, high = (a.low + b.low, a.high + b.high) if kind == "+" else (a.low - b.high, a.high - b.low)
            return self._kept(Term(f"{a.text} {kind} {b.factor}", low, high))
        op = " " if kind == "j" and b.text[0].isalpha() else " * "
        return self._kept(Term(f"{a.factor}{op}{b.factor}", *times(a, b)))

    def _test(self, env: dict[str, str]) -> str:
        rng = self.rng
        a, b = self._leaf(env), rng.choice(("0", "1/2", "0.3"))
        if rng.random() < 0.2:
            b = self._leaf(env).text
        first = f"{a.text} {rng.choice(('<', '>', '<=', '>='))} {b}"
        same = [(p, q) for p in env for q in env if p < q and env[p] == env[q]]
        if same and rng.random() < 0.5:
            p, q = rng.choice(same)
            return f"{p} {rng.choice(('=', '!=', '<', '<='))} {q}"
        if rng.random() < 0.2:
            return f"{first} {rng.choice(('and', 'or'))} {self._leaf(env).text} < 1"
        return first

    def _binder(self, env: dict[str, str]) -> tuple[str, str]:
        """A letter, fresh or (with luck) shadowing, and its dim."""
        letters = [k for k in LETTERS if k not in env] or list(LETTERS)
        return self.rng.choice(letters[:3]), self.rng.choice(self.dims)

    def _reduction(self, env: dict[str, str], depth: int) -> Term:
        rng = self.rng
        kind = rng.choice(
            ("sum",) * 5 + ("mean", "mean", "prod", "max", "min", "logsumexp", "lse", "where", "where", "where", "norm")
        )
        k, d = self._binder(env)
        inner = {**env, k: d}
        bound = f"{k} in {d}"
        a = self.scalar(inner, depth - 1)
        must = self._leaf(inner, must=k)
        body = Term(f"{a.factor} * {must.factor}", *times(a, must)) if rng.random() < 0.7 else a
        body = self._kept(body)
        if kind == "where":
            test = self._test(inner)
            if rng.random() < 0.4:
                return self._kept(Term(f"(sum[{bound} where {must.text} > 0.1] log({must.text}))", -20, 20, True))
            many = rng.choice(("", "0.1 * count[{0} where {1}] + ")).format(bound, test)
            return self._kept(
                Term(f"({many}sum[{bound} where {test}] {body.factor})", -8 * body.most, 8 * body.most + 1, True)
            )
        if kind == "norm":
            rows = [t for t in self._real() if len(t.dims) == 2 and t.dims[0] in env.values()]
            if rows:
                t = rng.choice(rows)
                t.uses += 1
                at = rng.choice([p for p, dim in env.items() if dim == t.dims[0]])
                return self._kept(Term(f"||{t.name}[{at}]||^2", 0, 8 * max(t.low**2, t.high**2), True))
            kind = "sum"
        if kind == "prod":
            return Term(f"(prod[{bound}] (1 + tanh({body.text})/4))", 0.1, 6, True)
        if kind == "lse":
            return Term(f"log(sum[{bound}] exp({self._small(body).text}))", -3, 6, True)
        if kind in ("max", "min", "logsumexp"):
            return Term(
                f"({kind}[{bound}] {body.factor})", body.low, body.high + (2.1 if kind == "logsumexp" else 0), True
            )
        both = ""
        if kind == "sum" and rng.random() < 0.2:
            other, dim = next((x for x in LETTERS if x not in inner), "i"), rng.choice(self.dims)
            both, extra = f", {other} in {dim}", self._leaf({**inner, other: dim}, must=other)
            body = self._kept(Term(f"{body.factor} * {extra.text}", *times(body, extra)))
        scale = (8 if not both else 64) if kind == "sum" else 1
        head = rng.choice(("", "1/2 ")) if kind == "sum" else ""
        return self._kept(
            Term(f"({head}{kind}[{bound}{both}] {body.factor})", -scale * body.most, scale * body.most, True)
        )

    def _small(self, a: Term) -> Term:
        return a if a.most < 4 else Term(f"tanh({a.text})", -1, 1, True)

    # definitions

    def _definition(self) -> None:
        rng = self.rng
        pick = rng.random()
        if pick < 0.12:
            self._chosen()
            return
        if pick < 0.5:
            term, dims = self._matrix_value()
            if term is not None:
                left = self._add(dims, term.low, term.high, "definition").name
                self.lines.append(f"{left} = {term.text}")
                return
        dims = tuple(rng.choice(self.dims) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3))))
        letters = rng.sample(LETTERS, len(dims))
        env = dict(zip(letters, dims, strict=True))
        term = self.scalar(env, 2 if self.short else rng.choice((2, 3, 3)))
        for k in letters:
            leaf = self._leaf(env, must=k)
            term = self._kept(
                Term(f"{term.text} {rng.choice('+-')} {leaf.factor}", term.low - leaf.most, term.high + leaf.most)
            )
        name = self._add(dims, term.low, term.high, "definition").name
        self.lines.append(f"{name}[{', '.join(letters)}] = {term.text}" if letters else f"{name} = {term.text}")

    def _chosen(self) -> None:
        """The place of an extreme, which later statements gather by."""
        matrices = [t for t in self._real() if len(t.dims) == 2]
        t = self.rng.choice(matrices)
        t.uses += t.kind == "data"
        i, k = self.rng.sample(LETTERS, 2)
        kind = self.rng.choice(("argmax", "argmin"))
        name = self._add(t.dims[:1], 0, 2, "definition", t.dims[1]).name
        self.lines.append(f"{name}[{i}] = {kind}[{k}] {t.name}[{i}, {k}]")

    def _matrix_value(self) -> tuple[Term | None, tuple[str, ...]]:
        from trust.matrices import value

        return value(self)

    # the loss

    def _loss(self) -> str:
        terms = []
        for t in list(self.known):
            if t.kind in ("definition", "param") and not self._read(t):
                terms.append(self._total(t))
        if not terms or self.rng.random() < 0.4:
            t = self.rng.choice([t for t in self._real() if t.kind in ("param", "definition")])
            terms.append(self._total(t))
        return " + ".join(terms)

    def _read(self, t: Known) -> bool:
        """Whether a right side holds the name."""
        return any(re.search(rf"\b{t.name}\b", line.split(" = ", 1)[-1]) for line in self.lines if " = " in line)

    def _total(self, t: Known) -> str:
        rng = self.rng
        t.uses += 1
        letters = rng.sample(LETTERS, len(t.dims))
        element = f"{t.name}[{', '.join(letters)}]" if letters else t.name
        if t.label:
            env = dict(zip(letters, t.dims, strict=True))
            holder = next(x for x in self._real() if t.label in x.dims)
            at = ["0"] * len(holder.dims)
            at[holder.dims.index(t.label)] = element
            letters, element = list(env), f"{holder.name}[{', '.join(at)}]"
            holder.uses += 1
            t = Known(t.name, t.dims, holder.low, holder.high, "")
        if not letters:
            return self._unary(Term(element, t.low, t.high, True)).factor
        if rng.random() < 0.2 and len(t.dims) <= 2 and "[" not in element.split("[", 1)[1]:
            return rng.choice(
                (
                    f"1/2 ||{t.name}||^2",
                    f"||{t.name}||_1",
                    f"0.1 ||{t.name}||_F" if len(t.dims) == 2 else f"||{t.name}||_inf",
                )
            )
        body = self._unary(Term(element, t.low, t.high, True))
        kind = rng.choice(("sum", "sum", "mean"))
        head = rng.choice(("", "1/2 ", f"1/{self.dims[0]} "))
        return f"{head}{kind}[{', '.join(letters)}] {body.factor}"
