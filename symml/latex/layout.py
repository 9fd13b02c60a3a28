"""Derivations laid out: lines with their rules as a text in columns or as one aligned block of LaTeX.

step_lines(rows, "latex")  ->  lines of \\begin{aligned} ... \\end{aligned}: left &= right && rule
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDEST = 56  # of the formulas' column; longer ones push their rule to the right
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
