"""What pages mean, against numpy; trust/lowered.py holds the statements."""

from __future__ import annotations

from trust import lowered


def test_pages_mean_what_numpy_says():
    assert lowered.misread() == ""


def test_another_meaning_is_seen(monkeypatch):
    """The negative controls: one value and one refusal that are not so."""
    monkeypatch.setattr(lowered, "STATED", (("c + 1", lambda a: a.c + 2),))
    assert lowered.misread() == "c + 1"
    monkeypatch.setattr(lowered, "STATED", ())
    monkeypatch.setattr(lowered, "REFUSED", (("c", ""),))
    assert lowered.misread() == "c"
