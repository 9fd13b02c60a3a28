"""What PTX of an f32 training must not hold, told by source line (`.loc`): double precision where data are walked over,
memory of a thread's own, atomics. And what ptxas says of stack, spills and registers.

    complaints(ptx, text, threads)      text: the module that the PTX was compiled from, with lineinfo
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

# Functions whose sums are meant to be double on every target; the algorithm's own arithmetic, too.
ACCUMULATORS = ("lane_sum", "block_sum", "largest", "inner", "unit")
ALGORITHMS = ("lbfgs.py", "minibatch.py", "descent.py")
MOST_REGISTERS = 65536


def complaints(ptx: str, text: str) -> list[str]:
    """Every fault, one a line."""
    found = [f"no {word}" for word in (".target sm_90", "bar.sync", ".visible .entry") if word not in ptx]
    found += [f"a thread's own memory: {line}" for line in re.findall(r".*\.local .*", ptx)]
    found += [f"an atomic: {line.strip()}" for line in re.findall(r"^\s*(?:atom|red)\..*", ptx, re.M)]
    hot = hot_lines(text)
    lines = text.splitlines()
    for at, instruction in doubles(ptx):
        if at in hot:
            found.append(f"{hot[at]}:{at}: {instruction} in {lines[at - 1].strip()}")
    return found


def doubles(ptx: str) -> list[tuple[int, str]]:
    """(source line, opcode) of each instruction on 64-bit floats; 0 where a function of CUDA's own begins."""
    at, found = 0, []
    for line in ptx.splitlines():
        place = re.match(r"\s*\.loc\s+\d+\s+(\d+)", line)
        opcode = re.match(r"\s*(?:@!?%p\d+ )?([a-z][\w.]*\.f64[\w.]*)\s", line)
        if place:
            at = int(place[1])
        elif re.match(r"\s*(\.visible |\.weak )?\.(func|entry)", line):
            at = 0
        elif opcode:
            found.append((at, opcode[1]))
    return found


def hot_lines(text: str) -> dict[int, str]:
    """Lines that walk over data, with their function: primitives and the matrix product as a whole, innermost loops of
    all others that are not ACCUMULATORS or the algorithm's."""
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or "cuda.jit" not in "".join(map(ast.unparse, node.decorator_list)):
            continue
        name = node.name.removeprefix("device_")
        if name in ACCUMULATORS or name in _of_algorithms() or name.endswith("_kernel"):
            continue
        whole = name == "product" or name == "row_sum" or name.endswith("_f32")
        for part in [node] if whole else [n for n in ast.walk(node) if isinstance(n, ast.For)]:
            if whole or not any(isinstance(n, ast.For) for n in ast.walk(part) if n is not part):
                for inner in part.body:
                    found |= dict.fromkeys(range(inner.lineno, inner.end_lineno + 1), name)
    return found


def _of_algorithms() -> set[str]:
    import symml

    folder = Path(symml.__file__).parent / "algorithms"
    trees = [ast.parse((folder / name).read_text()) for name in (*ALGORITHMS, "philox.py")]
    return {n.name for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef)}


def assembled(path: Path, threads: int) -> list[str] | None:
    """What ptxas complains of; None where there is no ptxas."""
    tool = shutil.which("ptxas")
    if tool is None:
        return None
    out = subprocess.run(
        [tool, "-v", "-arch=sm_90", str(path), "-o", "/dev/null"], capture_output=True, text=True, timeout=300
    )
    if out.returncode:
        return [out.stderr]
    said = out.stderr
    found = [f"{n} {what}" for n, what in re.findall(r"(\d+) (bytes (?:stack frame|spill \w+))", said) if n != "0"]
    registers = max(map(int, re.findall(r"Used (\d+) registers", said)), default=0)
    return found + ([f"{registers} registers of {threads} threads"] if registers * threads > MOST_REGISTERS else [])
