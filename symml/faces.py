"""What a person sees of a result: the screen of a run, lines of formulas, the JSON document, saved files. No sympy here.

"\\n".join(screen(result))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symml.errors import DataError, NumericError
from symml.runtime.export import parameter_lines, parameters, predictions
from symml.runtime.save import restore, save, save_arrays, write_whole

if TYPE_CHECKING:
    from symml.pipeline import Result


def screen(result: Result) -> list[str]:
    """The whole screen of `symml run`."""
    m = result.kernel.manifest
    return [*head(result), "", *formula_lines(m["formulas"], "text"), "", *figures(result)]


def head(result: Result) -> list[str]:
    """Model, sizes, parts, convexity."""
    m, bound = result.kernel.manifest, result.bound
    sizes = ", ".join(f"{name} = {size}" for name, size in bound.dims.items())
    parts = "; " + ", ".join(f"{name} {len(rows)}" for name, rows in bound.parts.items()) if bound.parts else ""
    lines = [f"{m['model']}   {sizes}{parts}"]
    c = m["certificate"]
    if c["curvature"] != "unknown":
        lines.append(f"{c['curvature']} in ({', '.join(c['over'])}): {c['reason']}")
    else:
        lines.append(f"not certified convex in ({', '.join(c['over'])}): {c['reason']}")
    return lines + [f"note: {note}" for note in bound.notes]


def formula_lines(rows: list[Mapping], form: str) -> list[str]:
    """One line a formula with its proof; `where` lines below it, each shown once."""
    if form == "latex":
        lines = []
        for row in rows:
            left = r"\ell" if not row["proof"] else rf"\frac{{\partial \ell}}{{\partial {row['symbol']}}}"
            lines += [f"{left} = {row['latex']}", *(f"  {latex}" for latex, _ in row["where"])]
        return lines
    left = [("loss" if not row["proof"] else f"∂/∂{row['letter']}") for row in rows]
    wide = max(map(len, left), default=0)
    long = min(72, max((len(row["text"]) for row in rows if row["proof"]), default=0))
    lines, shown = [], set()
    for name, row in zip(left, rows, strict=True):
        lines.append(f"  {name.ljust(wide)}  {row['text'].ljust(long if row['proof'] else 0)}  {row['proof']}".rstrip())
    for row in rows:
        fresh = [text for _, text in row["where"] if text not in shown]
        shown.update(fresh)
        lines += [
            f"  {'where'.ljust(wide) if not k and len(shown) == len(fresh) else ' ' * wide}  {text}"
            for k, text in enumerate(fresh)
        ]
    return lines


def figures(result: Result) -> list[str]:
    """Training and report."""
    m, o = result.kernel.manifest, result.outcome
    cached = (
        "compiled before"
        if result.cached
        else f"compiled in {result.prepare_seconds + o['compile_seconds']:.1f} s (cached next time)"
    )
    gradient = f"   |grad| {o['gradient']:.0e}" if not m["batch"] else ""
    sign = -1 if m["sense"] == "maximize" else 1
    lines = [cached if result.kernel.module.__class__.__name__ == "module" else "interpreted (reference)"]
    steps = f"{m['method']['name']}   {o['steps']} steps   loss {sign * o['loss']:.6g}{gradient}"
    lines.append(f"{steps}   {o['status']}   {_time(o['seconds'])}")
    if "best_epoch" in o:
        part = m["functions"]["validation_loss"]["part"]
        lines.append(f"kept epoch {o['best_epoch']}, the best on {part}: loss {sign * min(o['validation']):.6g}")
    if result.report:
        lines.append("")
    for (name, value), part in zip(result.report.items(), m["parts"], strict=True):
        lines.append(f"{name} = {value:.4g}" + (f" on {part}" if part else ""))
    return lines


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s"


def document(result: Result) -> dict:
    """All of a result as JSON."""
    m = result.kernel.manifest
    return {
        "model": m["model"],
        "sizes": result.bound.dims,
        "parts": {k: len(v) for k, v in result.bound.parts.items()},
        "certificate": m["certificate"],
        "formulas": m["formulas"],
        "method": m["method"],
        "outcome": dict(result.outcome),
        "report": dict(result.report),
        "params": {k: np.asarray(v).tolist() for k, v in result.params.items()},
        "params_in_data_units": {k: np.asarray(v).tolist() for k, v in result.params_in_data_units.items()},
        "notes": list(result.bound.notes),
        "cached": result.cached,
        "seconds": {"prepare": result.prepare_seconds, "train": result.train_seconds},
    }


def save_run(folder: Path, result: Result) -> Path:
    """Parameters, figures and, where the page predicts, the predictions of all rows."""
    save(folder, result)
    lines = parameter_lines(result.params, result.params_in_data_units)
    write_whole(folder / "params.csv", ("\n".join(lines) + "\n").encode())
    if "predict" in result.kernel.manifest["functions"]:
        write_whole(folder / "predictions.csv", predictions(result.predict(), ".csv"))
    return folder


def keep_finite(out: Path, error: NumericError) -> None:
    """The last finite parameters of a run that diverged, in a file that the error then names; the start is not kept."""
    from symml.runtime.launch import DivergedError

    if not isinstance(error, DivergedError) or error.step == 0:
        return
    path = save_arrays(out / error.model, "last_finite.npz", {f"param.{k}": v for k, v in error.params.items()})
    error.fix += f"; the last finite parameters are in {path}"


def predicted(rows: np.ndarray, out: Path | None) -> str:
    """Predictions as CSV for a screen; with a file, written in the form that its ending says, and told."""
    if out is None:
        return predictions(rows, ".csv").decode().rstrip("\n")
    write_whole(out, predictions(rows, out.suffix))
    return f"wrote {out}"


def exported(folder: Path, form: str | None, out: Path | None) -> bytes:
    """The parameters of a saved run in one of the formats, written to `out` where it is given."""
    form = form or (out.suffix.removeprefix(".") if out else "csv")
    content = parameters(restore(folder), form)
    if out is not None:
        write_whole(out, content)
    elif form == "npz":
        raise DataError("an npz file is not text for a screen", fix="give --out FILE.npz")
    return content


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    write_whole(path, text.encode())
