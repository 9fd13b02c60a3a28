"""Writes the data files of the examples from scikit-learn, a development package.

    python examples/data/make.py [FOLDER]

Sources and licences: diabetes (Efron et al. 2004), breast cancer Wisconsin (UCI, CC BY 4.0), digits (UCI optical
recognition, CC BY 4.0), all as shipped by scikit-learn (BSD-3).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sklearn import datasets


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """One CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def diabetes(folder: Path) -> None:
    """442 patients, ten measurements, progression of the disease after one year."""
    data = datasets.load_diabetes(scaled=False)
    rows = ([f"{v:.10g}" for v in (*x, y)] for x, y in zip(data.data, data.target, strict=True))
    write(folder / "diabetes.csv", [*data.feature_names, "progression"], rows)


def breast_cancer(folder: Path) -> None:
    """569 tumours, 30 measurements of cell nuclei; benign is 1."""
    data = datasets.load_breast_cancer()
    names = [n.replace(" ", "_") for n in data.feature_names]
    rows = ([*(f"{v:.10g}" for v in x), int(y)] for x, y in zip(data.data, data.target, strict=True))
    write(folder / "breast_cancer.csv", [*names, "benign"], rows)


def digits(folder: Path) -> None:
    """1,797 images of 8 x 8 pixels, 0..16, and the digit they show."""
    data = datasets.load_digits()
    rows = ([*(int(v) for v in x), int(y)] for x, y in zip(data.data, data.target, strict=True))
    write(folder / "digits.csv", [*(f"p{k}" for k in range(64)), "digit"], rows)


def main(folder: Path) -> None:
    """All files."""
    for make in (diabetes, breast_cancer, digits):
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
