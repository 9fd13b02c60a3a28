"""Statement rules to nodes of the Tree; expressions are built by `Build`."""

from __future__ import annotations

from lark import Token

from symml.errors import SpecError
from symml.syntax import tree
from symml.syntax.build import Build


def _nodes(parts: list, kind: type = tree.Node) -> list:
    return [p for p in parts if isinstance(p, kind)]


class BuildStatements(Build):
    """One method for each statement rule."""

    def model(self, parts: list) -> tree.Head:
        return tree.Head("model", parts[1], span=self.span(*parts))

    def optimizer(self, parts: list) -> tree.Head:
        return tree.Head("optimizer", parts[1], span=self.span(*parts))

    # declarations: small pairs (tag, value) travel up to `item`

    def shape(self, parts: list) -> tuple[str, tuple]:
        return "shape", tuple(_nodes(parts, tree.Expr))

    def compared(self, parts: list) -> tuple[str, tuple]:
        return "bound", (str(parts[0]).replace("≥", ">=").replace("≤", "<="), parts[1])

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
            name, facts.get("shape", ()), facts.get("bound"), flags, facts.get("value"), facts.get("init"),
            span=self.span(name, *(p for p in rest if isinstance(p, tree.Node)), *facts.get("shape", ())),
        )

    def items(self, parts: list) -> tuple[tree.Declaration, ...]:
        return tuple(_nodes(parts))

    def declare(self, parts: list) -> tree.Declare:
        return tree.Declare(str(parts[0]), parts[1], span=self.span(parts[0]))

    def origin(self, parts: list) -> tuple[tree.Declaration | None, tree.From]:
        item = parts[0] if isinstance(parts[0], tree.Declaration) else None
        words = {p.type: k for k, p in enumerate(parts) if isinstance(p, Token)}
        texts = [str(p)[1:-1] for p in parts if isinstance(p, Token) and p.type == "STRING"]
        place = parts[words["FROM"]]
        columns = next((p for p in parts if isinstance(p, tree.Range)), None)
        path = next(p for p in parts if isinstance(p, Token) and p.type == "STRING")
        return item, tree.From(texts[0], texts[1] if len(texts) > 1 else None, columns, span=self.span(place, path))

    def declare_data(self, parts: list) -> tree.Declare:
        """A `from` serves all items since the previous `from`."""
        items: list[tree.Declaration] = []
        sources: list[tuple[tuple[tree.Declaration, ...], tree.From | None]] = []
        group: list[tree.Declaration] = []
        for part in parts[1:]:
            if isinstance(part, tree.Declaration):
                group.append(part)
            elif isinstance(part, tuple):
                item, origin = part
                group += [item] if item is not None else []
                if not group:
                    raise SpecError("this 'from' serves no name", origin.span, fix="write it after the names it serves")
                sources.append((tuple(group), origin))
                items += group
                group = []
        if group:
            sources.append((tuple(group), None))
            items += group
        return tree.Declare("data", tuple(items), tuple(sources), span=self.span(parts[0]))

    def part(self, parts: list) -> tuple[tree.Name, tree.Expr]:
        return parts[0], self.number(parts[1])

    def split(self, parts: list) -> tree.Split:
        names = [p for p in parts if isinstance(p, tree.Name)]
        seed = next((p for p in parts if isinstance(p, Token) and p.type == "NUMBER"), None)
        return tree.Split(
            names[0], tuple(p for p in parts if isinstance(p, tuple)), None if seed is None else self.number(seed),
            names[1] if len(names) > 1 else None, span=self.span(parts[0], names[0]),
        )

    def definition(self, parts: list) -> tree.Define:
        target, indices = parts[0], ()
        if isinstance(parts[1], tuple) and parts[1][0] == "shape":
            indices = parts[1][1]
        value = next(p for p in parts[1:] if isinstance(p, tree.Expr))
        ranges = tuple(tree.Binder((n,), d, span=n.span) for n, d in
                       (p for p in parts if isinstance(p, tuple) and p[0] != "shape"))
        return tree.Define(target, indices, value, ranges, span=self.span(target, value))

    def update(self, parts: list) -> tree.Update:
        return tree.Update(parts[0], parts[2], span=self.span(parts[0], parts[2]))

    # problems

    def over(self, parts: list) -> tuple[str, tuple[tree.Name, ...]]:
        return "over", tuple(_nodes(parts, tree.Name))

    def objective(self, parts: list) -> tree.Objective:
        sense, *rest = parts
        over = next((p[1] for p in rest if isinstance(p, tuple)), ())
        value, *constraints = _nodes(rest, tree.Expr)
        return tree.Objective(str(sense), over, value, tuple(constraints), span=self.span(sense))

    def option(self, parts: list) -> tree.Option:
        return tree.Option(parts[0].id, parts[2], span=self.span(parts[0], parts[2]))

    def method(self, parts: list) -> tree.Method:
        name = parts[0] if isinstance(parts[0], tree.Name) else self.name(parts[0])
        return tree.Method(name, tuple(_nodes(parts, tree.Option)), span=name.span)

    def training(self, parts: list) -> tree.Train:
        tests = _nodes(parts, tree.Expr)
        return tree.Train(parts[2], tests[0] if tests else None, span=self.span(parts[0], parts[2]))

    def predict(self, parts: list) -> tree.Predict:
        return tree.Predict(parts[1], span=self.span(*parts))

    def predict_named(self, parts: list) -> tree.Predict:
        return tree.Predict(parts[3], parts[1], span=self.span(parts[0], parts[1]))

    def report(self, parts: list) -> tree.Report:
        part = parts[-1] if isinstance(parts[-2], Token) and parts[-2].type == "ON" else None
        return tree.Report(parts[1], parts[3], part, span=self.span(parts[0], parts[1]))
