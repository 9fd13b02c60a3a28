"""What a user asks of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symml.errors import SpecError

EVERY = 30.0  # seconds between two checkpoints


@dataclass(frozen=True)
class Keeping:
    """Where a run's checkpoints go, every how many seconds, and the folder of the run to go on with."""

    checkpoint: Path | None = None
    resume: Path | None = None
    every: float = EVERY


def keeping_of(checkpoint: str | Path | None, resume: str | Path | None, every: float = EVERY) -> Keeping | None:
    """What a user asks of checkpoints; None where nothing."""
    if not every >= 0.0:
        raise SpecError(f"checkpoints every {every:g} seconds make no sense", fix="a number of seconds from 0 on")
    if checkpoint is None and resume is None:
        return None
    return Keeping(Path(checkpoint) if checkpoint else None, Path(resume) if resume else None, every)
