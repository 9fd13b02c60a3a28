"""A formula as a row: what faces print, JSON holds and the manifest of a fit keeps."""

from __future__ import annotations

from symml import names
from symml.latex.derivation import Formula


def row(name: str, f: Formula, proof: str) -> dict:
    """One formula with its name in letters and LaTeX, its proof, its length with all that
    `where` names, and how far the printed tree is from its statement."""
    return {
        "name": name,
        "symbol": names.latex(name),
        "letter": names.unicode(name),
        "latex": f.latex,
        "text": f.text,
        "where": [list(w) for w in f.where],
        "form": f.form,
        "nodes": f.nodes,
        "proof": proof,
        "printed_error": f.error,
    }
