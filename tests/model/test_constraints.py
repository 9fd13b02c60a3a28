"""`subject to` and the domains of parameters: residuals, their sense, the sets that have a projection, what is refused."""

import numpy as np
import pytest
from check import check_error, page

from symml import pipeline
from symml.errors import DataError
from symml.ir import check as legality
from symml.ir.evaluate import evaluate
from symml.proof.samples import sample
from symml.runtime.domains import check_domain


def loaded(text):
    model, program = pipeline.load(page(text))
    legality.check(program)
    return model, program


def values(text):
    """The outputs of a page at random inputs, and the inputs, by name."""
    _, program = loaded(text)
    inputs, dims = sample(program, np.random.default_rng(0))
    env = evaluate(program, inputs, dims)
    return {k: env[t] for k, t in program.outputs.items()}, {t.name: v for t, v in inputs.items()}


# (declarations and objective, [(name, sense, text, residual of the inputs)])
RESIDUALS = [
    (
        "dims n, m\ndata A[m, n], b[m]\nparam x[n]\nminimize ||x||^2  subject to  A x <= b; x[0] > -2",
        [("c1", "at_most", "A x <= b", lambda v: v["A"] @ v["x"] - v["b"]),
         ("c2", "at_most", "x[0] > -2", lambda v: -2 - v["x"][0])],
    ),
    (
        "dims n\nparam x[n]\nminimize ||x||^2  subject to  -2 <= x <= 5 and (x[0] + 1) x[1] = 3",
        [("c1a", "at_most", "-2 <= x", lambda v: -2 - v["x"]), ("c1b", "at_most", "x <= 5", lambda v: v["x"] - 5),
         ("c1c", "equal", "(x[0] + 1) x[1] = 3", lambda v: (v["x"][0] + 1) * v["x"][1] - 3)],
    ),
    (
        "dims n, d\ndata X[n, d], y[n]\nparam w[d], s[n] >= 0\nminimize ||w||^2 + sum[i] s[i]\n"
        "subject to  y[i] X[i]' w >= 1 - s[i]",
        [("s_lower", "at_most", "s >= 0", lambda v: -v["s"]),
         ("c1", "at_most", "y[i] X[i]' w >= 1 - s[i]", lambda v: 1 - v["s"] - v["y"] * (v["X"] @ v["w"]))],
    ),
    (
        "dims d, k\nparam W[d, k]\nminimize ||W||^2  subject to  W' W = I",
        [("c1", "equal", "W' W = I", lambda v: v["W"].T @ v["W"] - np.eye(v["W"].shape[1]))],
    ),
    (
        "dims d\nparam A[d, d] in stochastic\nminimize ||A||^2",
        [("A_lower", "at_most", "A in stochastic", lambda v: -v["A"]),
         ("A_sum", "equal", "A in stochastic", lambda v: v["A"].sum(1) - 1)],
    ),
    (
        "dims d\nparam A[d, d] in psd, B[d, d] in symmetric, x[d] in ball(2)\nminimize ||A||^2 + ||B||^2 + ||x||^2",
        [("A_psd", "psd", "A in psd", lambda v: v["A"]),
         ("B_symmetric", "equal", "B in symmetric", lambda v: v["B"] - v["B"].T),
         ("x_ball", "at_most", "x in ball(2)", lambda v: v["x"] @ v["x"] - 4)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), RESIDUALS)
def test_residuals(text, expected):
    model, _ = loaded(text)
    assert [(c.name, c.sense, c.text) for c in model.constraints] == [e[:3] for e in expected]
    out, inputs = values(text)
    for name, _, _, truth in expected:
        np.testing.assert_allclose(out[f"constraint {name}"], truth(inputs), rtol=1e-14, atol=1e-14)


# (declaration and constraints of x[n], or another parameter, kind, axis, figures by output)
REGIONS = [
    ("param x[n] >= 0", "x >= -1", "box", -1, {"lower x": 0}),
    ("param x[n]", "-2 <= x <= 5; x <= u", "box", -1, {"lower x": -2, "upper x": lambda v: np.minimum(5, v["u"])}),
    ("param x[n]", "2 x[i] <= u[i] + 1", "box", -1, {"upper x": lambda v: (v["u"] + 1) / 2}),
    ("param x[n]", "x = u", "box", -1, {"lower x": lambda v: v["u"], "upper x": lambda v: v["u"]}),
    ("param x", "-100 <= x <= -10", "box", -1, {"lower x": -100, "upper x": -10}),
    ("param x[n]", "sum[i] x[i] = 1; x >= 0", "simplex", 0, {"total x": 1}),
    ("param x[n]", "1 = sum[k] x[k]; 0 <= x <= 1", "simplex", 0, {"total x": 1}),
    ("param x[n] in simplex", "", "simplex", 0, {"total x": 1}),
    (
        "param x[n, m]",
        "sum[j] x[i, j] = u[i] + 9; x >= 0",
        "level",
        1,
        {"lower x": 0, "total x": lambda v: v["u"] + 9},
    ),  # of any sign
    ("param x[n, m]", "sum[i] x[i, j] = 2; x >= 0", "simplex", 0, {"total x": 2}),
    ("param x[n, m] in stochastic", "", "simplex", 1, {"total x": 1}),
    ("param x[n]", "sum[i] x[i] = 1; x >= -1", "level", 0, {"lower x": -1, "total x": 1}),
    ("param x[n]", "sum[i] x[i] = 1; 0 <= x <= 0.3", "level", 0, {"lower x": 0, "upper x": 0.3, "total x": 1}),
    ("param x[n]", "||x|| <= r", "ball", -1, {"radius x": lambda v: v["r"]}),
    ("param x[n]", "||x||^2 <= 9", "ball", -1, {"radius x": 3}),
    ("param x[n, m]", "x' x = I", "orthonormal", 0, {}),
    ("param x[n, m]", "I = x x'", "orthonormal", 1, {}),
    ("param x[n, n]", "x = x'", "symmetric", 1, {}),
    ("param x[n, n] in psd", "", "psd", -1, {}),
    ("param x[n]", "x' u = 1", "level", 0, {"total x": 1, "normal x": lambda v: v["u"]}),
    ("param x[n]", "x' u = y", None, -1, {}),
    ("param x[n]", "x <= y", None, -1, {}),
]


@pytest.mark.parametrize(("declared", "constraints", "kind", "axis", "figures"), REGIONS)
def test_regions(declared, constraints, kind, axis, figures):
    text = f"dims n, m\ndata u[n]\nhyper r > 0 = 2\n{declared}\nparam y\nminimize ||x||^2 + y^2"
    text += f"  subject to  {constraints}" if constraints else ""
    model, _ = loaded(text)
    region = next((r for r in model.regions if r.param.name == "x"), None)
    assert (region and region.kind) == kind
    if region is None:
        return
    assert region.axis == (axis if kind in ("simplex", "level", "orthonormal") else region.axis)
    assert set(region.absorbs) <= {c.name for c in model.constraints}
    out, inputs = values(text)
    assert {k for k in out if k.split()[0] in ("lower", "upper", "total", "normal", "radius")} == set(figures)
    for key, truth in figures.items():
        wanted = truth(inputs) if callable(truth) else truth
        np.testing.assert_allclose(out[key], np.broadcast_to(wanted, np.shape(out[key])), rtol=1e-14)


def test_what_a_region_absorbs_and_what_stays_general():
    model, _ = loaded("dims n\ndata c[n]\nparam x[n]\nminimize c' x  subject to  sum[i] x[i] = 1; x >= 0; c' x <= 3")
    (region,) = model.regions
    assert region.absorbs == ("c1", "c2")
    assert [c.name for c in model.constraints if c.name not in region.absorbs] == ["c3"]


def test_open_ends_are_told():
    model, _ = loaded("param t > 0, u\nminimize t + u^2  subject to  u < 3")
    assert {r.param.name: r.open for r in model.regions} == {"t": (True, False), "u": (False, True)}
    assert [c.strict for c in model.constraints] == [True, True]


def test_bounds_become_the_domain():
    model, _ = loaded("dims n\nparam x[n], y\nminimize -log y + ||x||^2  subject to  x[i] >= 0; 1/2 <= y < 3")
    x, y = model.over
    assert (x.domain.lower, x.domain.upper, y.domain.lower, y.domain.upper, y.domain.open) == (
        0,
        None,
        0.5,
        3,
        (False, True),
    )
    assert pipeline.certificate(pipeline.analyse(page(
        "param y\nminimize 1/y  subject to  y > 0"))).convex  # fmt: skip


REFUSED = [
    ("x >= 0 or x <= -1", 1, "'or' has no meaning between constraints"),
    ("x != 0", 6, "does not constrain"),
    ("u <= 1", 1, "holds nothing that is optimised"),
    ("x <= M", 6, "the shapes differ"),
    ("x in {0, 1}", 1, "a choice among separate values"),
    ("u in simplex", 1, "a set of a whole parameter"),
    ("x in psd", 1, "no square matrix"),
    ("x in stochastic", 1, "has one axis"),
    ("x = I", 5, "I is an identity matrix"),
    ("x <= z", 6, "unknown name 'z'"),
    ("x[k] <= u[k] + M[0, k]", 16, "walks axes of different sizes"),
    ("x in [2, 1]", 6, "nothing lies between"),
]


@pytest.mark.parametrize(("constraint", "column", "words"), REFUSED)
def test_refused(constraint, column, words):
    source = page(f"dims n, m\ndata u[n], M[n, m]\nparam x[n]\nminimize ||x||^2\nsubject to\n  {constraint}")
    check_error(source, 7, column + 2, words)


DOMAINS = [
    ("A[n] in psd", "no square matrix"), ("A in simplex", "is a number"), ("A[n] in stochastic", "has one axis"),
    ("A[n] in {0, 1}", "separate values"), ("A[n] in n", "separate values"), ("A[n] in ball(0)", "holds nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "words"), DOMAINS)
def test_domains_that_do_not_fit(declared, words):
    check_error(page(f"dims n\nparam {declared}\nminimize 1"), 3, None, words)


def test_domains_of_parameters_that_are_not_optimised_constrain_nothing():
    model, _ = loaded("param t > 0, u\nminimize over u  (u - t)^2")
    assert model.constraints == ()


# a set as a whole, an array in it, one just outside
WHOLE = [
    ("simplex", [0.25, 0.75], [0.25, 0.7]),
    ("stochastic", [[0.5, 0.5], [1, 0]], [[0.5, 0.5], [0.9, 0]]),
    ("symmetric", [[1, 2], [2, 5]], [[1, 2], [2.1, 5]]),
    ("psd", [[1, 2], [2, 4]], [[1, 2], [2, 3.9]]),
    ("ball", [0.6, 0.8], [0.7, 0.8]),
]


@pytest.mark.parametrize(("kind", "inside", "outside"), WHOLE)
def test_data_of_a_set_are_checked(kind, inside, outside):
    bounds = {"simplex": (0, 1), "stochastic": (0, 1), "ball": (-1, 1)}.get(kind, (None, None))
    domain = {"kind": kind, "lower": bounds[0], "upper": bounds[1], "open": [False, False], "values": []}
    check_domain("A", np.array(inside, float), domain)
    with pytest.raises(DataError, match="A"):
        check_domain("A", np.array(outside, float), domain)


def test_samples_lie_in_their_sets():
    _, program = loaded(
        "dims n\ndata P[n, n] in stochastic, Q[n, n] in psd, R[n, n] in symmetric\nparam p[n] in simplex, x[n] in ball(2)\n"
        "minimize p' P x + tr(Q R)"
    )
    values_, _ = sample(program, np.random.default_rng(1))
    kinds = {t.name: (t.domain, v) for t, v in values_.items()}
    for name in "PQRpx":
        d, v = kinds[name]
        facts = {"kind": d.kind, "lower": d.lower, "upper": d.upper, "open": [False, False], "values": []}
        check_domain(name, v, facts)
