"""Derivations laid out: lines with their rules as a text in columns or as one aligned block of LaTeX.

step_lines(rows, "latex")  ->  lines of \\begin{aligned} ... \\end{aligned}: left &= right && rule
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDEST = 56  # of the formulas' column; longer ones push their rule to the right
MOST_ENTRIES = 6  # of a state and of its eigenvalues
ADDS = r"\mathrel{+}="


def step_lines(rows: Sequence[Mapping], form: str) -> list[str]:
    """The rows of derivations/steps.py as lines; form: text or latex."""
    return _aligned(rows) if form == "latex" else _columns(rows)


def _aligned(rows: Sequence[Mapping]) -> list[str]:
    sign = {"+=": ADDS, "= −": "= -", "−": "{} -", "+": "{} +"}
    lines = [
        f"{row['left_latex']} &{sign.get(row['relation'], row['relation'])} {row['latex']} && {row['rule_latex']}"
        for row in rows
    ]
    return [r"\begin{aligned}", *(rf"{line} \\" for line in lines[:-1]), lines[-1], r"\end{aligned}"]


def _columns(rows: Sequence[Mapping]) -> list[str]:
    left = max(_wide(row["left"]) for row in rows)
    relation = max(len(row["relation"]) for row in rows)
    right = min(WIDEST, max(_wide(row["text"]) for row in rows))
    lines = []
    for row in rows:
        signed = row["relation"].rjust(relation)
        error = f"{row['error']:.0e}" if row["error"] else "exact"
        head = f"  {_padded(row['left'], left)} {signed} {_padded(row['text'], right)}"
        lines.append(f"{head}  {row['rule']}  [{error}]")
    return [*lines, "", *_told(rows)]


def _told(rows: Sequence[Mapping]) -> list[str]:
    """What the lines were compared with, each method with its largest error."""
    worst: dict[str, list[float]] = {}
    for row in rows:
        worst.setdefault(row["method"], []).append(row["error"])
    return [
        f"  {len(e)} line{'s' * (len(e) > 1)} by {method}, largest error {max(e):.0e}" for method, e in worst.items()
    ]


def _wide(text: str) -> int:
    """How many columns a text takes: a bar over a letter takes none."""
    return sum(c != "\u0304" for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _wide(text))


def section_lines(rows: Sequence[Mapping], form: str) -> list[str]:
    """Rows below the heads of their sections; in LaTeX heads and remarks are comments."""
    key = "latex" if form == "latex" else "text"
    long = min(72, max((len(row["text"]) for row in rows if row["proof"]), default=0))
    lines, head, shown = [], "", set()
    for row in rows:
        if row["section"] != head:
            head = row["section"]
            lines.append(f"% {head}" if form == "latex" else f"  {head}")
        remark = form == "latex" and not row["latex"]
        told = f"% {row['text']}" if remark else row[key]
        proof = "" if form == "latex" else row["proof"]
        lines.append(f"    {told.ljust(long) if proof else told}  {proof}".rstrip())
        fresh = [pair for pair in row["where"] if pair[1] not in shown]
        shown.update(text for _, text in fresh)
        lines += [f"      {latex}" if form == "latex" else f"      where {text}" for latex, text in fresh]
    return lines


# the analysis of a system


def analysis_lines(facts: Mapping, form: str) -> list[str]:
    """The facts of derivations/system.py as lines; form: text or latex."""
    if "too_large" in facts:
        told = f"{facts['states'][0]} moves, with {facts['too_large']} entries: too many to be analysed"
        return [f"% {told}" if form == "latex" else told]
    formulas = [*facts["moves"], *facts["jacobian"]]
    if form == "latex":
        return [f["latex"] for f in formulas] + [w[0] for f in formulas for w in f["where"]]
    times = f", {facts['period']} steps at once" if facts["period"] > 1 else ""
    held = ", driven by what is held as at its last step" if facts.get("driven") else ""
    lines = [f"{facts['model']}   a {facts['kind']} of {_named(facts['states'])}{times}{held}", ""]
    lines += [f"  {f['text']}" for f in facts["moves"]]
    wide = max(_wide(f["text"]) for f in facts["jacobian"])
    lines += [
        f"  {_padded(f['text'], wide)}  {facts['proof'] if not k else ''}".rstrip()
        for k, f in enumerate(facts["jacobian"])
    ]
    lines += [f"    where {w[1]}" for f in formulas for w in f["where"]]
    lines += ["", *_points(facts)]
    if facts["vary"]:
        name, low, high = facts["vary"]
        lines += ["", *_bifurcations(facts, name, low, high)]
    return lines


def _points(facts: Mapping) -> list[str]:
    if not facts["fixed_points"]:
        return ["no fixed point found between the bounds of the states"]
    rows = []
    for p in facts["fixed_points"]:
        what = "fixed point" if p["period"] == 1 else f"orbit of period {p['period']} through"
        eigenvalues = ", ".join(map(_complex, _pairs(p["eigenvalues"])))
        leading = "leading " if facts.get("leading") else ""
        rows.append((f"{what} {_state(facts, p['at'])}", f"{leading}eigenvalues {eigenvalues}", p["verdict"]))
    wide = [max(_wide(row[k]) for row in rows) for k in (0, 1)]
    return [f"{_padded(a, wide[0])}   {_padded(b, wide[1])}   {c}" for a, b, c in rows]


def _bifurcations(facts: Mapping, name: str, low: float, high: float) -> list[str]:
    head = f"{name} from {low:g} to {high:g}:"
    if not facts["bifurcations"]:
        return [f"{head} no fixed point changes its stability"]
    return [head] + [
        f"  {name} = {_number(b['at'])}   {_state(facts, b['state'])}   {b['kind']}" for b in facts["bifurcations"]
    ]


def _state(facts: Mapping, z: Sequence[float]) -> str:
    """The entries by name; of many, the first."""
    told = [f"{name} = {_number(value)}" for name, value in zip(facts["states"], z, strict=True)]
    return ", ".join(told[:MOST_ENTRIES]) + (
        f" and {len(told) - MOST_ENTRIES} more" if len(told) > MOST_ENTRIES else ""
    )


def _pairs(values: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Eigenvalues, of a conjugate pair the upper one; of many, the first and the last."""
    upper = [(re, im) for re, im in values if im >= 0]
    return upper if len(upper) <= MOST_ENTRIES else [*upper[:2], *upper[-2:]]


def _complex(value: tuple[float, float]) -> str:
    re, im = value
    if im == 0:
        return _number(re)
    return (f"{_number(re)} " if re else "") + f"± {im:.6g}i"


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def _named(states: Sequence[str]) -> str:
    return ", ".join(states if len(states) <= MOST_ENTRIES else [*states[:2], "...", states[-1]])
