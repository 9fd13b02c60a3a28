"""Fixtures and options of all tests: the cache of compiled kernels lies in a folder of its own."""

from __future__ import annotations

import os
import tempfile

import pytest

os.environ.setdefault("SYMML_CACHE", os.path.join(tempfile.gettempdir(), f"symml-tests-{os.getuid()}"))
os.environ.setdefault("SYMML_PLAIN", "0")  # what is tested is the tuned kernel; tests of the plain one switch it on


def pytest_addoption(parser):
    parser.addoption("--update-goldens", action="store_true", help="write the goldens that differ")


def pytest_configure(config):
    config.addinivalue_line("markers", "full: the long runs, done only with -m full")
    config.addinivalue_line("markers", "gpu: needs an NVIDIA GPU, skipped where there is none")


def pytest_collection_modifyitems(config, items):
    if "full" in (config.getoption("-m") or ""):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture
def golden(request):
    """`golden(text)` compares with tests/goldens/FILE-TEST.txt, or renews it under --update-goldens."""
    from pathlib import Path

    folder = Path(__file__).parent / "goldens"
    path = folder / f"{request.path.stem}-{request.node.name.replace('/', '-')}.txt"

    def check_golden(text: str) -> None:
        if request.config.getoption("--update-goldens"):
            folder.mkdir(exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        assert path.is_file(), f"no golden {path.name}: did you forget --update-goldens?"
        assert text + "\n" == path.read_text(encoding="utf-8")

    return check_golden
