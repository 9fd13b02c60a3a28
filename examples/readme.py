"""Renews the blocks of README.md that show a page or a command's output.

python examples/readme.py
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARK = re.compile(r"(<!-- (file|command): (.*?) -->\n```\n)(.*?)(\n```)", re.S)


def shown(kind: str, what: str) -> str:
    """The text that belongs into a block."""
    if kind == "file":
        return (ROOT / what).read_text(encoding="utf-8").strip()
    words = [sys.executable, "-m", "symml.cli", *shlex.split(what)[1:]]
    out = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True).stdout.rstrip()
    return f"$ {what}\n{out}"


def renewed(text: str) -> str:
    """README with fresh blocks; figures of time differ from run to run."""
    return MARK.sub(lambda m: m[1] + shown(m[2], m[3]) + m[5], text)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
