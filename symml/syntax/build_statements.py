"""Statement rules to nodes of the Tree; expressions are built by `Build`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from lark import Token

from symml.errors import SpecError
from symml.syntax import tree
from symml.syntax.build import Build
from symml.syntax.words import ascii_mark, nearest

ROLES = ("weight", "lengths")
SENSES = ("smallest", "largest")


def _nodes(parts: list, kind: type = tree.Node) -> list:
    return [p for p in parts if isinstance(p, kind)]


class BuildStatements(Build):
    """One method for each statement rule."""

    def model(self, parts: list) -> tree.Head:
        return tree.Head("model", parts[1], span=self.span(*parts))

    def optimizer(self, parts: list) -> tree.Head:
        return tree.Head("optimizer", parts[1], span=self.span(*parts))

    def distribution(self, parts: list) -> tree.Head:
        support = next((p for p in parts if isinstance(p, tree.Expr)), None)
        return tree.Head("distribution", self.name(parts[1]), self._parameters(parts), support, span=self.span(*parts))

    def use(self, parts: list) -> tree.Use:
        return tree.Use(str(parts[1])[1:-1], span=self.span(*parts))

    # declarations: small pairs (tag, value) travel up to `item`

    def shape(self, parts: list) -> tuple[str, tuple]:
        return "shape", tuple(_nodes(parts, tree.Expr))

    def compared(self, parts: list) -> tuple[str, tuple]:
        return "bound", (ascii_mark(str(parts[0])), parts[1])

    def member(self, parts: list) -> tuple[str, tuple]:
        return "bound", ("in", parts[1])

    def valued(self, parts: list) -> tuple[str, tree.Expr]:
        return "value", parts[1]

    def initial(self, parts: list) -> tuple[str, tree.Expr]:
        return "init", parts[1]

    def item(self, parts: list) -> tree.Declaration:
        name, *rest = parts
        facts = dict(p for p in rest if isinstance(p, tuple))
        flags = tuple(p.id for p in rest if isinstance(p, tree.Name))
        return tree.Declaration(
            name,
            facts.get("shape", ()),
            facts.get("bound"),
            flags,
            facts.get("value"),
            facts.get("init"),
            next((p for p in rest if isinstance(p, tree.Choice)), None),
            span=self.span(name, *(p for p in rest if isinstance(p, tree.Name)), *facts.get("shape", ())),
        )

    def role(self, parts: list) -> tree.Declaration:
        """`weight w[n]`: the role is the first of the flags."""
        role, *rest = parts
        if role.id not in ROLES:
            fix = nearest(role.id, ROLES, cutoff=0.7)
            if fix:
                raise SpecError(f"'{role.id}' is no role of data", role.span, fix=fix)
            raise SpecError("names are separated by commas", rest[0].span, fix="write a comma before this name")
        item = self.item(rest)
        return replace(item, flags=(role.id, *item.flags), span=self.span(role, item))

    def choice(self, parts: list) -> tree.Choice:
        """`chosen by smallest rmse on valid`."""
        names, part = _nodes(parts, tree.Name), None
        if any(isinstance(p, Token) and p.type == "ON" for p in parts):
            *names, part = names
        *sense, name = names
        if len(sense) > 1 or (sense and sense[0].id not in SENSES):
            raise SpecError(
                "a hyper-parameter is chosen by one reported figure",
                names[0].span,
                fix="write chosen by smallest NAME, or chosen by largest NAME",
            )
        return tree.Choice(sense[0].id if sense else "", name, part, span=self.span(*parts))

    def subset(self, parts: list) -> tuple[str, tuple]:
        return "bound", ("subset", parts[2])

    def declare(self, parts: list) -> tree.Declare:
        return tree.Declare(str(parts[0]), tuple(_nodes(parts)), span=self.span(parts[0]))

    def origin(self, parts: list) -> tree.From:
        """`from "path"`, then `label "name"` and `columns a..b` in any order, each once."""
        texts = {
            before.type: str(p)[1:-1] for before, p in pairwise(parts) if isinstance(p, Token) and p.type == "STRING"
        }
        kinds = [p.type for p in parts if isinstance(p, Token) and p.type in ("LABEL", "COLUMNS")]
        if len(kinds) != len(set(kinds)):
            raise SpecError(f"a second '{kinds[-1].lower()}' of one 'from'", self.span(*parts), fix="keep one of them")
        columns = next((p for p in parts if isinstance(p, tree.Range | tree.SetLiteral)), None)
        return tree.From(texts["FROM"], texts.get("LABEL"), columns, span=self.span(*parts))

    def declare_data(self, parts: list) -> tree.Declare:
        """A `from` serves all items since the previous `from`."""
        items: list[tree.Declaration] = []
        sources: list[tuple[tuple[tree.Declaration, ...], tree.From | None]] = []
        group: list[tree.Declaration] = []
        for part in _nodes(parts):
            if isinstance(part, tree.Declaration):
                group.append(part)
                items.append(part)
                continue
            if not group:
                raise SpecError("this 'from' serves no name", part.span, fix="write it after the names it serves")
            sources.append((tuple(group), part))
            group = []
        if group:
            sources.append((tuple(group), None))
        return tree.Declare("data", tuple(items), tuple(sources), span=self.span(parts[0]))

    def graph(self, parts: list) -> tree.Graph:
        name, over, *flags = _nodes(parts, tree.Name)
        origins = _nodes(parts, tree.From)
        if len(origins) > 1:
            raise SpecError("a second 'from' of one graph", origins[1].span, fix="keep one of them")
        return tree.Graph(
            name, over, origins[0] if origins else None, tuple(f.id for f in flags), span=self.span(*parts)
        )

    def part(self, parts: list) -> tuple[tree.Name, tree.Expr]:
        return parts[0], self.number(parts[1])

    def split(self, parts: list) -> tree.Split:
        names = _nodes(parts, tree.Name)
        seed = next((p for p in parts if isinstance(p, Token) and p.type == "NUMBER"), None)
        return tree.Split(
            names[0],
            tuple(p for p in parts if isinstance(p, tuple)),
            None if seed is None else self.number(seed),
            names[1] if len(names) > 1 else None,
            span=self.span(parts[0], names[0]),
        )

    # definitions

    def definition(self, parts: list) -> tree.Define:
        target, indices, (value, *_) = self._target(parts)
        ranges = self.grouped_binders([p for p in parts if isinstance(p, tuple) and p[0] != "shape"])
        return tree.Define(target, indices, value, ranges, span=self.span(target, value))

    def definition_cases(self, parts: list) -> tree.Define:
        target, indices, _ = self._target(parts)
        cases = self._cases(parts)
        return tree.Define(target, indices, cases, span=self.span(target, cases))

    def _cases(self, parts: list) -> tree.Cases:
        rows = tuple(p for p in parts if isinstance(p, tuple) and p[0] != "shape")
        place = next(p for p in parts if isinstance(p, Token) and p.type == "CASES")
        for value, test in rows[:-1]:
            if test is None:
                raise SpecError("'otherwise' is the last case", value.span, fix="write it below the others")
        return tree.Cases(rows, span=self.span(place))

    def case(self, parts: list) -> tuple[tree.Expr, tree.Expr | None]:
        value, *test = _nodes(parts, tree.Expr)
        return value, (test[0] if test else None)

    def _target(self, parts: list) -> tuple[tree.Name, tuple[tree.Expr, ...], list[tree.Expr]]:
        """What stands left of the mark, its indices, and the expressions right of it."""
        indices = next((p[1] for p in parts[1:2] if isinstance(p, tuple)), ())
        return parts[0], indices, _nodes(parts[1:], tree.Expr)

    def parameter(self, parts: list) -> tree.Declaration:
        if isinstance(parts[0], tree.Declaration):
            return parts[0]
        return tree.Declaration(parts[0], bound=("~", parts[2]), span=self.span(*parts))

    def _parameters(self, parts: list) -> tuple[tree.Declaration, ...]:
        return tuple(_nodes(parts, tree.Declaration))

    def function(self, parts: list) -> tree.Function:
        name = next(p for p in parts if isinstance(p, Token) and p.type == "CALL")
        return tree.Function(self.name(name), self._parameters(parts), parts[-1], span=self.span(name, parts[-1]))

    def function_cases(self, parts: list) -> tree.Function:
        return self.function([*parts, self._cases(parts)])

    def distributed(self, parts: list) -> tree.Distributed:
        target, indices, (value, *_) = self._target(parts)
        ranges = self.grouped_binders([p for p in parts if isinstance(p, tuple) and p[0] != "shape"])
        return tree.Distributed(target, indices, value, ranges, span=self.span(target, value))

    def update(self, parts: list) -> tree.Update:
        return tree.Update(parts[0], parts[2], span=self.span(parts[0], parts[2]))

    def flow(self, parts: list) -> tree.Update:
        return tree.Update(parts[0], parts[3], flow=True, span=self.span(parts[0], parts[3]))

    def iteration(self, parts: list) -> tree.Iterate:
        target, indices, (value, *start, until) = self._target(parts[1:])
        return tree.Iterate(target, value, until, indices, start[0] if start else None, span=self.span(*parts))

    def growth(self, parts: list) -> tree.Growth:
        return tree.Growth(parts[2], tuple(_nodes(parts, tree.Option)), span=self.span(*parts))

    def setting(self, parts: list) -> tree.Option:
        return tree.Option(parts[0].id, self.number(parts[1]), span=self.span(*parts))

    # problems

    def over(self, parts: list) -> tuple[str, tuple[tree.Name, ...]]:
        return "over", tuple(_nodes(parts, tree.Name))

    def objective(self, parts: list) -> tree.Objective:
        sense, *rest = parts
        over = next((p[1] for p in rest if isinstance(p, tuple)), ())
        value, *constraints = _nodes(rest, tree.Expr)
        return tree.Objective(str(sense), over, value, tuple(constraints), span=self.span(sense))

    def constraint(self, parts: list) -> tree.Expr:
        """A relation; with `for`, for each value of its indices."""
        ranges = self.grouped_binders([p for p in parts if isinstance(p, tuple)])
        return tree.Each(parts[0], ranges, span=self.span(parts[0], *ranges)) if ranges else parts[0]

    def solve(self, parts: list) -> tree.Solve:
        colon = next(k for k, p in enumerate(parts) if isinstance(p, Token) and p.type == "COLON")
        return tree.Solve(tuple(_nodes(parts[:colon], tree.Name)), tuple(_nodes(parts[colon:])), span=self.span(*parts))

    def option(self, parts: list) -> tree.Option:
        return tree.Option(parts[0].id, parts[2], span=self.span(parts[0], parts[2]))

    def method(self, parts: list) -> tree.Method:
        name = parts[0] if isinstance(parts[0], tree.Name) else self.name(parts[0])
        return tree.Method(name, tuple(_nodes(parts, tree.Option)), span=name.span)

    def training(self, parts: list) -> tree.Train:
        tests = _nodes(parts, tree.Expr)
        return tree.Train(parts[2], tests[0] if tests else None, span=self.span(parts[0], parts[2]))

    def inference(self, parts: list) -> tree.Infer:
        return tree.Infer(parts[2], span=self.span(*parts))

    def predict(self, parts: list) -> tree.Predict:
        return tree.Predict(parts[1], span=self.span(*parts))

    def predict_named(self, parts: list) -> tree.Predict:
        return tree.Predict(parts[3], parts[1], span=self.span(parts[0], parts[1]))

    def report(self, parts: list) -> tree.Report:
        part = parts[-1] if isinstance(parts[-2], Token) and parts[-2].type == "ON" else None
        return tree.Report(parts[1], parts[3], part, span=self.span(parts[0], parts[1]))
