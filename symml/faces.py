"""What a person sees of a result: the screen of a run, lines of formulas, the JSON document, saved files. No sympy here.

"\\n".join(screen(result))
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symml.errors import DataError, NumericError
from symml.runtime.export import parameter_lines, parameters, predictions
from symml.runtime.save import restore, save, save_arrays, write_whole

if TYPE_CHECKING:
    from symml.results import Result
    from symml.runtime.many import Fits
    from symml.runtime.sharpness import Sharpness
    from symml.runtime.uncertainty import Uncertainty

MOST_ROWS = 60  # of a table on the screen
MOST_ERRORS = 20
TOLD = {
    "tuned": "",
    "plain": "first result, by a plain kernel; the tuned one is compiled behind it (SYMML_PLAIN=0 waits for it)",
    "reference": "interpreted (reference)",
}
ACTIVE = 1e-6  # a multiplier above this says that its constraint holds the solution
NO_GAP = "   no duality gap (no slope that was found bounds the objective)"


def screen(result: Result) -> list[str]:
    """The whole screen of `symml run`."""
    m = result.kernel.manifest
    return [*head(result), "", *formula_lines(m["formulas"], "text"), "", *figures(result)]


def head(result: Result) -> list[str]:
    """Model, sizes, parts, convexity."""
    m, bound = result.kernel.manifest, result.bound
    sizes = ", ".join(f"{name} = {size}" for name, size in bound.dims.items())
    parts = "; " + ", ".join(f"{name} {len(rows)}" for name, rows in bound.parts.items()) if bound.parts else ""
    lines = [f"{m['model']}   {sizes}{parts}".rstrip()]
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
    read = rows[0].get("read", {}) if rows else {}
    if read:
        lines.append(f"  {'read'.ljust(wide)}  {', '.join(f'{name} as a {kind}' for name, kind in read.items())}")
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
    gradient = "" if m["method"]["facts"].get("free") is False else gradient  # of what constraints hold it is not 0
    gradient = f"   KKT residual {o['kkt']:.0e}" if "kkt" in o else gradient
    gradient += f"   duality gap {o['gap']:.0e}" if "gap" in o else NO_GAP if "gaps" in o else ""
    sign = -1 if m["sense"] == "maximize" else 1
    lines = [TOLD[result.kernel_name] or cached]
    if m["method"]["reason"]:
        lines.append(f"{m['method']['name']}: {m['method']['reason']}")
    steps = f"{m['method']['name']}   {o['steps']} step{'s'[: o['steps'] != 1]}   loss {sign * o['loss']:.6g}{gradient}"
    threads = f"   {o['threads']} threads" if o.get("threads", 1) > 1 else ""
    lines.append(f"{steps}   {o['status']}   {_time(o['seconds'])}{threads}")
    if o.get("rank", result.x.size) < result.x.size:
        lines.append(f"note: {o['rank']} of {result.x.size} directions are determined: this is one solution of many")
    lines += multiplier_lines(m["method"]["facts"].get("conditions", ()), o.get("multipliers", {}))
    if o.get("best_epoch"):
        part, least = m["functions"]["validation_loss"]["part"], o["validation"][o["best_epoch"] - 1]
        lines.append(f"kept epoch {o['best_epoch']}, the best on {part}: loss {sign * least:.6g}")
    if "choice" in o:
        lines += ["", *choice_lines(o["choice"])]
    if result.report:
        lines.append("")
    for (name, value), part in zip(result.report.items(), m["parts"], strict=True):
        finite = "" if math.isfinite(value) else "   no finite number: a division by 0, or more than float64 holds"
        lines.append(f"{name} = {value:.4g}" + (f" on {part}" if part else "") + finite)
    return lines


def multiplier_lines(conditions: Iterable[Mapping], found: Mapping[str, object]) -> list[str]:
    """A line for each constraint of the page: the multiplier, or the range of them, that it has at the solution."""
    rows = []
    for c in (c for c in conditions if c["text"]):
        values = np.asarray(found[c["name"]], float)
        told = f"{float(values):.6g}" if values.size == 1 else f"{values.min():.4g} .. {values.max():.4g}"
        active = "" if c["equal"] or values.size == 1 else f"{int((values > ACTIVE).sum())} of {values.size} active"
        rows.append((f"  multiplier of {c['text']}", told, active))
    return _table(rows) if rows else []


def sharpness_lines(result: Result, found: Sharpness) -> list[str]:
    """The extreme eigenvalues of the Hessian at a fit, and what they say of a step of gradient descent."""
    method = result.kernel.manifest["method"]
    lines = [
        f"sharpness {found.largest:.6g}: the largest eigenvalue of the Hessian; the least is {found.least:.3g}",
        f"  {found.products} products with the Hessian, residual {found.residual:.0e}",
        f"  gradient descent is stable here for steps below 2/sharpness = {found.largest_step:.6g}",
    ]
    lr = method["options"].get("lr")
    if isinstance(lr, int | float):
        side = "below" if lr < found.largest_step else "not below"
        other = (
            ""
            if method["name"] == "sgd"
            else f"; {method['name']} scales its steps, the bound is that of plain descent"
        )
        lines.append(f"  the page's lr = {lr:g} is {side} that{other}")
        if method["name"] == "sgd" and found.least > 0 and lr < found.largest_step:
            left = max(abs(1 - lr * found.least), abs(1 - lr * found.largest))
            lines.append(f"  near a minimum, each step on all rows leaves {left:.6g} of the distance to it, at most")
    return lines


def sharpness_facts(result: Result, found: Sharpness) -> dict:
    """The same as JSON."""
    method = result.kernel.manifest["method"]
    return {
        "model": result.kernel.manifest["model"],
        "sharpness": found.largest,
        "least": found.least,
        "products": found.products,
        "residual": found.residual,
        "largest_step": found.largest_step,
        "method": method["name"],
        "lr": method["options"].get("lr"),
    }


def choice_lines(found: Mapping) -> list[str]:
    """A row for each combination of values that was tried, the chosen one marked."""
    several = found["tried"][0]["error"] is not None
    head = (
        f"mean {found['by']} on {len(found['tried'][0]['scores'])} folds"
        if several
        else f"{found['by']} on {found['on']}"
    )
    rows = [(" ".join(found["chosen"]), head, *(["standard error"] if several else []), "")]
    for tried in found["tried"]:
        error = [f"{tried['error']:.4g}"] if several else []
        mark = f"the {found['sense']}" if tried["values"] == found["chosen"] else ""
        rows.append((" ".join(f"{v:g}" for v in tried["values"].values()), f"{tried['mean']:.6g}", *error, mark))
    return _table(rows)


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s"


def document(result: Result, found: Uncertainty | None = None) -> dict:
    """All of a result as JSON, with its errors where they were asked for."""
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
        "kernel": result.kernel_name,
        "seconds": {"prepare": result.prepare_seconds, "train": result.train_seconds},
        **({} if found is None else {"errors": error_document(found)}),
    }


# many fits


def bootstrap_lines(fits: Fits, level: float) -> list[str]:
    """A row for each entry of the parameters: estimate, standard error, percentile interval."""
    errors, intervals = fits.standard_errors(), fits.intervals(level)
    rows = [("", "estimate", "standard error", f"{100 * level:g} % interval")]
    for name, value in fits.estimate.items():
        low, high = intervals[name]
        for at in list(np.ndindex(np.shape(value)))[: MOST_ROWS + 1]:
            numbers = [f"{np.asarray(a)[at]:.4g}" for a in (value, errors[name], low, high)]
            rows.append((_entry(name, at), numbers[0], numbers[1], f"{numbers[2]} .. {numbers[3]}"))
    rest = sum(np.size(v) for v in fits.estimate.values()) - MOST_ROWS
    more = [f"and {rest} more: --json prints all"] if rest > 0 else []
    return [f"{fits.kernel.manifest['model']}   {_many(fits)}", *_table(rows[: MOST_ROWS + 1]), *more]


def path_lines(fits: Fits) -> list[str]:
    """A row for each value: the loss and the reported numbers."""
    m = fits.kernel.manifest
    sign = -1 if m["sense"] == "maximize" else 1
    parts = [f"{name} on {part}" if part else name for name, part in zip(m["reports"], m["parts"], strict=True)]
    rows = [(fits.name, "loss", "steps", "status", *parts)]
    for value, o, report in zip(fits.values, fits.outcomes, fits.reports, strict=True):
        rows.append((f"{value:g}", f"{sign * o['loss']:.6g}", str(o["steps"]), o["status"], *_figures(report)))
    return [f"{m['model']}   {_many(fits)}", *_table(rows)]


def _many(fits: Fits) -> str:
    """How many, how they ended, how long they took."""
    ends = [o["status"] for o in fits.outcomes]
    told = ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))
    return f"{len(ends)} fits with one kernel: {told}   {_time(sum(o['seconds'] for o in fits.outcomes))}"


def _figures(report: Mapping[str, float]) -> list[str]:
    return [f"{value:.4g}" for value in report.values()]


def _entry(name: str, at: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, at))}]" if at else name


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns side by side, the first one to the left, the others to the right."""
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(wide[0]), *(text.rjust(size) for text, size in zip(row[1:], wide[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def bootstrap_document(fits: Fits, level: float) -> dict:
    """All of a bootstrap as JSON."""
    intervals = fits.intervals(level)
    return {
        **_fits_document(fits),
        "level": level,
        "estimate": _listed(fits.estimate),
        "standard_error": _listed(fits.standard_errors()),
        "interval": {name: _listed({"low": low, "high": high}) for name, (low, high) in intervals.items()},
    }


def path_document(fits: Fits) -> dict:
    """All of a path as JSON."""
    return {**_fits_document(fits), "hyper": fits.name, "values": list(fits.values)}


def _fits_document(fits: Fits) -> dict:
    brief = ("status", "steps", "loss", "gradient", "seconds")
    return {
        "model": fits.kernel.manifest["model"],
        "fits": len(fits.outcomes),
        "outcomes": [{k: o[k] for k in brief} for o in fits.outcomes],
        "reports": [dict(r) for r in fits.reports],
        "params": _listed(fits.params),
    }


def _listed(arrays: Mapping[str, object]) -> dict:
    return {name: np.asarray(a).tolist() for name, a in arrays.items()}


def error_lines(result: Result, found: Uncertainty) -> list[str]:
    """Parameters with their standard errors, how these were read, warnings."""
    entries = [
        (name if not at else f"{name}[{', '.join(map(str, at))}]", float(np.asarray(value)[at]), float(deviation[at]))
        for name, value in result.params.items()
        for deviation in [np.asarray(found.deviations[name])]
        for at in np.ndindex(np.shape(value))
    ]
    wide = max(len(name) for name, _, _ in entries)
    lines = [f"{found.what} from {found.reading}"]
    for name, value, deviation in entries[:MOST_ERRORS]:
        told = f"± {deviation:.4g}" if np.isfinite(deviation) else "not identified"
        lines.append(f"  {name.ljust(wide)}  {value:>11.5g}  {told}")
    if len(entries) > MOST_ERRORS:
        lines.append(f"  and {len(entries) - MOST_ERRORS} more in errors.csv of a run")
    lines.append(f"condition number of the scaled Hessian {found.condition:.2g}")
    return lines + [f"warning: {note}" for note in found.notes]


def error_document(found: Uncertainty) -> dict:
    """Standard errors as JSON; null where an entry is not identified."""
    return {
        "kind": found.kind,
        "what": found.what,
        "reading": found.reading,
        "condition": found.condition,
        "deviations": {name: _nulls(np.asarray(v).tolist()) for name, v in found.deviations.items()},
        "warnings": list(found.notes),
    }


def _nulls(value: object) -> object:
    if isinstance(value, list):
        return [_nulls(v) for v in value]
    return value if np.isfinite(value) else None


def save_errors(folder: Path, result: Result, found: Uncertainty) -> None:
    """errors.csv of a run; the cell is empty where an entry is not identified."""
    lines = ["parameter,index,value,error"]
    for name, value in result.params.items():
        for at in np.ndindex(np.shape(value)):
            error = np.asarray(found.deviations[name])[at]
            lines.append(
                f"{name},{' '.join(map(str, at))},{np.asarray(value)[at]},{error if np.isfinite(error) else ''}"
            )
    write_whole(folder / "errors.csv", ("\n".join(lines) + "\n").encode())


# files


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


def as_json(facts: object) -> str:
    """One JSON document; JSON has no word for what is not finite: it is null."""
    return json.dumps(_finite(facts), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    write_whole(path, text.encode())


def numeric_lines(rows: Sequence[Mapping]) -> list[str]:
    """The table of `symml check --numerics`: bits of error, mean and largest, of what is written and what is computed."""
    if not rows:
        return ["nothing is computed otherwise than it is written"]
    lines = []
    for row in rows:
        place = f"   line {row['line']}" if row["line"] else ""
        lines += ["", f"{row['left']}{place}   bits of error over {row['samples']} samples: mean, largest, no number"]
        for form in ("naive", "rewritten"):
            b = row["bits"][form]
            lines.append(f"  {form:9s} {b['mean']:5.1f} {b['largest']:5.1f} {b['non_finite']:4d}   {row[form]}")
        worst = row["worst"]
        at = ", ".join(f"{name} = {v:.6g}" for name, v in worst["at"].items())
        values = ", ".join(f"{form} {worst[form]}" for form in ("naive", "rewritten", "truth"))
        lines.append(f"  worst at {at}: {values}")
    return lines[1:]


def shelf_lines(rows: Sequence[Mapping], form: str) -> list[str]:
    """The rows of `symml list` for a person."""
    lines = []
    for row in rows:
        numbers = row.get("hypers") or dict.fromkeys(row.get("parameters", ()))
        given = ", ".join(n if v is None else f"{n} = {v:g}" for n, v in numbers.items())
        lines.append(f"{row['name']}({given})" if "source" in row else f"{row['name']}  of {row['of']}")
        lines += [f"  {row[key]}" for key in ("source", "paper") if key in row]
        lines += [f"    {u[form]}" for u in row.get("updates", ())]
        lines += [f"    {row['definition'][form]}"] if "definition" in row else []
    return lines
