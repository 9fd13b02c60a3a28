"""Checkpoints of a run: its arrays in an npz without pickle, and a JSON of what the run is.

    with Keeper(folder, every=30.0, facts=facts) as keep: run_lbfgs(..., between=keep)
    saved = newest(folder);  refuse_other(folder, saved.facts, facts);  run_lbfgs(..., saved=saved.arrays)

NUMBER.npz is written first, NUMBER.json with its SHA-256 after it, each to a temporary file, flushed, synced and renamed,
then the folder is synced: a checkpoint is there when its JSON is, and then it is whole. The last two are kept.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import io
import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np

from symml.errors import DataError, FileError
from symml.runtime.save import write_whole

KEPT = 2
# what damaged files raise, JSON of another kind included
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile)
EVERY = 30.0
WORDS = {"target": "the target", "dtype": "the dtype", "seed": "the seed", "symml": "the version of symml"}


@dataclass(frozen=True)
class Checkpoint:
    """The arrays of a run by name, and what the run is."""

    number: int
    arrays: Mapping[str, np.ndarray]
    facts: Mapping


def numbers(folder: Path) -> list[int]:
    """The checkpoints of a folder, the oldest first."""
    return sorted(int(p.stem) for p in folder.glob("*.json") if p.stem.isdigit())


def write(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping) -> int:
    """A new checkpoint; returns its number. Older ones than the last two, and what a killed run left, are removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(f"cannot make the folder '{folder}': {problem.strerror}") from None
    before = numbers(folder)
    number = before[-1] + 1 if before else 1
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()
    write_whole(folder / f"{number:08d}.npz", content)
    told = {**facts, "npz_sha256": hashlib.sha256(content).hexdigest()}
    write_whole(folder / f"{number:08d}.json", json.dumps(told).encode())
    _sync(folder)
    for old in before[: 1 - KEPT]:
        for ending in ("json", "npz"):
            with contextlib.suppress(OSError):
                (folder / f"{old:08d}.{ending}").unlink()
    return number


def _sync(folder: Path) -> None:
    """Make the names of the folder's files durable, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sweep(folder: Path) -> None:
    """Remove what a killed run left: temporary files, and arrays whose JSON was never written."""
    known = set(numbers(folder))
    for path in [*folder.glob(".*.tmp"), *folder.glob("*.npz")]:
        if path.suffix == ".tmp" or (path.stem.isdigit() and int(path.stem) not in known):
            with contextlib.suppress(OSError):
                path.unlink()


def newest(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole; FileError where there is none."""
    found = numbers(folder)
    if not found:
        raise FileError(f"'{folder}' holds no checkpoint", fix="begin one with --checkpoint")
    for number in reversed(found):
        with contextlib.suppress(*UNREADABLE):
            facts = json.loads((folder / f"{number:08d}.json").read_bytes())
            content = (folder / f"{number:08d}.npz").read_bytes()
            if hashlib.sha256(content).hexdigest() == facts.pop("npz_sha256"):
                with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                    return Checkpoint(number, dict(arrays), facts)
    raise FileError(f"no checkpoint of '{folder}' can be read: their files were changed or cut")


# what a run is


def fingerprint(page: str, target: str, dtype: str, seed: int, hypers: Mapping[str, float], data: object) -> dict:
    """All that decides the bits of a run; `data` is a Bound."""
    sums = {name: digest(a) for name, a in data.arrays.items()}
    sums |= {f"the part {name}": digest(rows) for name, rows in data.parts.items()}
    hypers = {name: float(v) for name, v in hypers.items()}
    version = metadata.version("symml")
    return {
        "page": page,
        "target": target,
        "dtype": dtype,
        "seed": seed,
        "symml": version,
        "hyper": hypers,
        "data": sums,
    }


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's shape, type and entries."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def changes(old: Mapping, new: Mapping) -> list[str]:
    """What differs between two runs, in words."""
    told = []
    if old.get("page") != new["page"]:
        told.append(_line(str(old.get("page")), new["page"]))
    told += [f"{word} was {old.get(k)} and is {new[k]}" for k, word in WORDS.items() if old.get(k) != new[k]]
    before, after = old.get("hyper", {}), new["hyper"]
    told += [
        f"{k} was {before.get(k)} and is {after.get(k)}" for k in {**before, **after} if before.get(k) != after.get(k)
    ]
    before, after = old.get("data", {}), new["data"]
    changed = [k for k in {**before, **after} if before.get(k) != after.get(k)]
    return told + ([f"the data have changed: {', '.join(changed)}"] if changed else [])


def _line(old: str, new: str) -> str:
    """The first line in which two pages differ."""
    before, after = old.splitlines(), new.splitlines()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            was, now = " / ".join(before[a:b])[:80] or "absent", " / ".join(after[c:d])[:80] or "gone"
            return f"the page has changed at line {c + 1}: it was '{was}' and is '{now}'"
    return "the page has changed in its line ends"


def refuse_other(folder: Path, old: Mapping, new: Mapping) -> None:
    """A checkpoint is for the same run only."""
    if told := changes(old, new):
        raise DataError(
            f"the checkpoint in '{folder}' belongs to another run: {'; '.join(told)}",
            fix="undo the change, or begin again with --checkpoint and an empty folder",
        )


def refuse_used(folder: Path) -> None:
    """A new run needs a folder without checkpoints."""
    if numbers(folder):
        raise FileError(
            f"'{folder}' holds checkpoints already", fix=f"go on with --resume {folder}, or choose another folder"
        )


# while a run goes on


@dataclass
class Keeper:
    """Called between the pieces of a run: writes a checkpoint at its begin, every some seconds, at its end, and when it
    is interrupted. SIGINT then ends the run as KeyboardInterrupt after the state was kept; a second SIGINT at once."""

    folder: Path
    every: float
    facts: Mapping
    written: float = 0.0
    armed: bool = False
    interrupted: bool = False
    previous: object = field(default=None, repr=False)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
            self.previous = None

    def __call__(self, run: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of a run where it is time to."""
        now = time.monotonic()
        first = not self.armed
        if first:
            self._arm()
            sweep(self.folder)
        if first or self.interrupted or run["status"][0] != 0 or now - self.written >= self.every:
            write(self.folder, run, self.facts)
            self.written = time.monotonic()
        if self.interrupted:
            raise KeyboardInterrupt(f"the run is kept, go on with --resume {self.folder}")

    def _arm(self) -> None:
        """From here on SIGINT waits for the end of a piece; compiling, before, it interrupts as usual."""
        self.armed = True
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.signal(signal.SIGINT, self._noted)

    def _noted(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
