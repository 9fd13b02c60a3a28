"""python -m benchmarks [WORKLOAD ...] [--json]: interleaved rounds, medians, ratio to the best peer with its lower 95 % bound."""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.threads import THREADS

os.environ.update(THREADS)
os.environ.pop("OPENBLAS_CORETYPE", None)

import numpy as np

from benchmarks.w1_logistic import WORKLOADS

ROUNDS = 25


def measure(name: str) -> list[dict]:
    """One workload: every contestant must agree, then they take turns."""
    calls = WORKLOADS[name]()
    values = {who: call() for who, call in calls.items()}
    loss, gradient = values["symml"]
    for who, (other_loss, other) in values.items():
        tolerance = 1e-9 if "64" in name else 2e-4
        assert abs(other_loss - loss) < tolerance * 10 and np.abs(np.asarray(other) - gradient).max() < tolerance, who
    times: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(ROUNDS):
        for who, call in calls.items():
            start = time.perf_counter()
            call()
            times[who].append(time.perf_counter() - start)
    median = {who: float(np.median(t)) for who, t in times.items()}
    best = min((who for who in calls if who != "symml"), key=median.get)
    ratios = np.array(times[best]) / np.array(times["symml"])
    rng = np.random.default_rng(0)
    draws = [np.median(rng.choice(ratios, len(ratios))) for _ in range(1000)]
    return [
        {
            "workload": name,
            "contestant": who,
            "threads": 1,
            "median_ms": 1e3 * median[who],
            "ratio_to_best_peer": median[best] / median[who],
            "low95": float(np.quantile(draws, 0.05)) if who == "symml" else None,
        }
        for who in calls
    ]


def main() -> None:
    """The command."""
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(WORKLOADS)
    rows = [row for name in names for row in measure(name)]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    print("workload  contestant     threads  median ms  best peer / this  lower 95 %")
    for r in rows:
        low = f"{r['low95']:.2f}" if r["low95"] else ""
        figures = f"{r['threads']:7d} {r['median_ms']:10.2f} {r['ratio_to_best_peer']:17.2f}  {low:>10}"
        print(f"{r['workload']:9} {r['contestant']:14} {figures}")


if __name__ == "__main__":
    main()
