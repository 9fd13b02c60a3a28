"""python -m benchmarks [WORKLOAD ...] [--json] [--cpu]: interleaved rounds, medians, ratios with their lower 95 % bounds.

W8 stands for W8-f32 and W8-f64. `--cpu` counts CPU time instead of the clock's, where others share the machine.
A call that does a part of its work says so: its time counts as many times as it would have to be repeated.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

from benchmarks.threads import THREADS, one_core

os.environ.update(THREADS)
os.environ.pop("OPENBLAS_CORETYPE", None)

import numpy as np

from benchmarks import w1_logistic, w3_mlp, w8_sgd

WORKLOADS = {**w1_logistic.WORKLOADS, **w3_mlp.WORKLOADS, **w8_sgd.WORKLOADS}
ROUNDS = {"W1": 25, "W3": 15, "W8": 15}


def agree(name: str, values: dict[str, tuple]) -> None:
    """W1: the same loss and gradient; the others shuffle in their own ways, so their losses are near each other."""
    loss, gradient, *_ = values["symml"]
    for who, (other_loss, other, *_) in values.items():
        if name.startswith("W1"):
            tolerance = 1e-9 if "64" in name else 2e-4
            assert abs(other_loss - loss) < tolerance * 10, who
            assert np.abs(np.asarray(other) - gradient).max() < tolerance, who
        else:
            assert abs(other_loss - loss) < 0.1 * abs(loss), (who, other_loss, loss)


def measure(name: str, clock: Callable[[], float]) -> list[dict]:
    """One workload: every contestant must agree, then they take turns."""
    calls = WORKLOADS[name]()
    agree(name, {who: call() for who, call in calls.items()})
    times: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(ROUNDS[name[:2]]):
        for who, call in calls.items():
            start = clock()
            _, _, *told = call()
            times[who].append((clock() - start) * (told[0] if told else 1))
    median = {who: float(np.median(t)) for who, t in times.items()}
    rng = np.random.default_rng(0)
    low = {who: lower(np.array(times[who]) / np.array(times["symml"]), rng) for who in calls if who != "symml"}
    return [
        {
            "workload": name,
            "contestant": who,
            "threads": 1,
            "median_ms": 1e3 * median[who],
            "symml_is": median[who] / median["symml"],
            "low95": low.get(who),
        }
        for who in calls
    ]


def lower(ratios: np.ndarray, rng: np.random.Generator) -> float:
    """The lower 95 % bound of the median, by bootstrap."""
    return float(np.quantile([np.median(rng.choice(ratios, len(ratios))) for _ in range(1000)], 0.05))


def main() -> None:
    """The command."""
    one_core()  # before a contestant loads its library
    asked = [a for a in sys.argv[1:] if not a.startswith("-")]
    names = [n for n in WORKLOADS if not asked or any(n in (a, f"{a}-f32", f"{a}-f64") for a in asked)]
    clock = time.process_time if "--cpu" in sys.argv else time.perf_counter
    rows = [row for name in names for row in measure(name, clock)]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    print("workload  contestant     threads  median ms  symml is faster by  lower 95 %")
    for r in rows:
        low = f"{r['low95']:.2f}" if r["low95"] else ""
        figures = f"{r['threads']:7d} {r['median_ms']:10.2f} {r['symml_is']:19.2f}  {low:>10}"
        print(f"{r['workload']:9} {r['contestant']:14} {figures}")


if __name__ == "__main__":
    main()
