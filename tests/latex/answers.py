"""The answers of derivative cases as people type them: their values on arrays and their lengths, without symml.

Answer("2*A'*(A*X*B+C)*B'").value({"A": ..., ...}); Answer("diag(s)-s*s', s=softmax(z)").length
"""

from __future__ import annotations

import re

import numpy as np

TOKEN = re.compile(r"\d+(?:\.\d+)?|[A-Za-z_]\w*|\.\^|\.\*|\./|[-+*/^'(),>]")
FUNCTIONS = {
    "inv": np.linalg.inv,
    "det": lambda a: np.linalg.det(a),
    "tr": np.trace,
    "norm2": lambda a: np.sqrt(np.sum(a * a)),
    "diag": lambda a: np.diag(a[:, 0]) if a.shape[1] == 1 else np.diag(a).reshape(-1, 1),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softmax": lambda a: np.exp(a) / np.exp(a).sum(),
    "softmax_rows": lambda a: np.exp(a) / np.exp(a).sum(1, keepdims=True),
    "max": np.maximum,
    "vector": lambda a: a,
}


class Answer:
    """An expression with the definitions behind it: `main, NAME=expression, ...` or `main with NAME=expression, ...`."""

    def __init__(self, text: str) -> None:
        main, *rest = re.split(r",\s*(?=\w+\s*=)|\s+with\s+(?=\w+\s*=)", text)
        self.names = [part.split("=", 1)[0].strip() for part in rest]
        self.trees = [_Parser(part.split("=", 1)[1], self.names).tree() for part in rest]
        self.main = _Parser(main, self.names).tree()

    @property
    def length(self) -> int:
        """The nodes of the expression and of its definitions."""
        return sum(map(_length, (self.main, *self.trees)))

    def value(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """The value; vectors are columns."""
        known = dict(arrays)
        waiting = dict(zip(self.names, self.trees, strict=True))
        while waiting:
            ready = [n for n, t in waiting.items() if not (_leaves(t) & set(waiting))]
            assert ready, f"definitions in a circle: {list(waiting)}"
            for n in ready:
                known[n] = _value(waiting.pop(n), known)
        return _value(self.main, known)


def _length(t: tuple) -> int:
    return 1 + sum(_length(x) for x in t[1:] if isinstance(x, tuple))


def _leaves(t: tuple) -> set[str]:
    return {t[1]} if t[0] == "name" else set().union(*(_leaves(x) for x in t[1:] if isinstance(x, tuple)), set())


class _Parser:
    """Precedence climbing; trees are tuples (operation, operands ...), products of products are one."""

    def __init__(self, text: str, names: list[str]) -> None:
        self.tokens = [t for word in TOKEN.findall(text) for t in self._cut(word, names)]
        self.at = 0

    @staticmethod
    def _cut(word: str, names: list[str]) -> list[str]:
        """`AX` is A X: capitals that touch are factors."""
        return list(word) if re.fullmatch("[A-Z]{2,}", word) and word not in names else [word]

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def tree(self) -> tuple:
        found = self._test()
        assert self.at == len(self.tokens), f"unread: {self.tokens[self.at :]}"
        return found

    def _test(self) -> tuple:
        left = self._sum()
        if self._peek() == ">":
            self._next()
            return (">", left, self._sum())
        return left

    def _sum(self) -> tuple:
        parts = [("neg", self._next() and self._term()) if self._peek() == "-" else self._term()]
        while self._peek() in ("+", "-"):
            sign = self._next()
            term = self._term()
            parts.append(("neg", term) if sign == "-" else term)
        return parts[0] if len(parts) == 1 else ("+", *parts)

    def _term(self) -> tuple:
        left = self._factor()
        while self._peek() in ("*", "/", ".*", "./") or re.match(r"[\w(]", self._peek()):
            op = self._next() if self._peek() in ("*", "/", ".*", "./") else "*"
            right = self._factor()
            left = (*left, right) if left[0] == op and op in ("*", ".*") else (op, left, right)
        return left

    def _factor(self) -> tuple:
        base = self._postfix()
        if self._peek() in ("^", ".^"):
            op = self._next()
            return (op, base, self._factor())
        return base

    def _postfix(self) -> tuple:
        if self._peek() == "-":
            self._next()
            return ("neg", self._postfix())
        token = self._next()
        if token == "(":
            found = self._test()
            assert self._next() == ")"
        elif token[0].isdigit():
            found = ("number", float(token))
        elif token in FUNCTIONS and self._peek() == "(":
            self._next()
            args = [self._test()]
            while self._peek() == ",":
                self._next()
                args.append(self._test())
            assert self._next() == ")"
            found = ("call", token, *args)
        else:
            found = ("name", token)
        while self._peek() == "'":
            self._next()
            found = ("'", found)
        return found


def _value(t: tuple, known: dict[str, np.ndarray]) -> np.ndarray:
    kind, *parts = t
    if kind == "number":
        return np.full((1, 1), parts[0])
    if kind == "name":
        return known[parts[0]]
    if kind == "call":
        return np.atleast_2d(FUNCTIONS[parts[0]](*(_value(p, known) for p in parts[1:])))
    values = [_value(p, known) for p in parts]
    if kind == "neg":
        return -values[0]
    if kind == "'":
        return values[0].T
    out = values[0]
    for v in values[1:]:
        out = _OPERATIONS[kind](out, v)
    return out


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a * b if a.size == 1 or b.size == 1 else a @ b


def _sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


_OPERATIONS = {
    "+": _sum,
    "*": _product,
    ".*": np.multiply,
    "/": np.divide,
    "./": np.divide,
    "^": np.power,
    ".^": np.power,
    ">": lambda a, b: (a > b).astype(float),
}
