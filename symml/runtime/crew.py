"""Threads that take chunks of a pass over many rows, beside the thread that called it.

    with Crew(kernel) as crew:
        crew.join(words, chunks)      from here on calls with these words share their chunks out

A helper runs one compiled function without the lock of the interpreter until it is sent home; between two passes it
sleeps. Its caller never waits for it but while it works on a chunk. Each crew has helpers of its own, so several fits at
once share nothing; a forked child has none and does all chunks itself. The same bits come of any number.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from symml.runtime.chunks import CREW_JOBS, MOST_CHUNKS, address_of

if TYPE_CHECKING:
    import numpy as np

    from symml.runtime.launch import Kernel

LIMITS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
LOOPS = Path(__file__).parent / "crew_loops.py"
READY_SECONDS = 1.0
RUN = 28  # in the words of a crew: the address of run_job


def usable_threads() -> int:
    """The cores this process may use, and no more than the environment says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = [int(text) for name in LIMITS if (text := os.environ.get(name, "")).isdigit() and int(text) > 0]
    return max(1, min([cores, *said, MOST_CHUNKS]))


def loops() -> ModuleType:
    """crew_loops.py, compiled once for all pages and kept as a kernel is."""
    from symml.runtime import cache
    from symml.runtime.launch import load_module

    source, folder = LOOPS.read_text(encoding="utf-8"), cache.entry(cache.key("crew"))
    if cache.load(folder) is None:
        with cache.locked(folder):
            if cache.load(folder) is None:
                cache.store(folder, source, {})
    return load_module(folder / "kernel.py", source)


@dataclass
class Team:
    """The helpers of one function: the words they share, their threads, the locks they sleep on."""

    words: np.ndarray
    threads: list[threading.Thread] = field(default_factory=list)
    locks: list[int] = field(default_factory=list)


class Crew:
    """The helpers of a kernel's functions, until the end of a `with`."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.teams = kernel, []

    def __enter__(self) -> Crew:
        return self

    @property
    def threads(self) -> int:
        """How many share a pass at most."""
        return 1 + max((len(team.threads) for team in self.teams), default=0)

    def join(self, words: np.ndarray, chunks: int) -> None:
        """Give a function its helpers, where it has more than one chunk of rows; `words` are the last of its `work`."""
        helpers = min(self.kernel.threads, chunks) - 1
        if helpers < 1 or words[CREW_JOBS] == 0:
            return
        m, team = loops(), Team(words)
        self.teams.append(team)
        words[RUN] = address_of(m.run_job)
        for seat in range(helpers + 1):
            team.locks.append(_held_lock())
            words[m.SEATS + m.SEAT * seat + 1] = team.locks[-1]
        for seat in range(1, helpers + 1):
            thread = threading.Thread(target=m.stay, args=(words.ctypes.data, seat), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                break
            team.threads.append(thread)
            words[m.HELPERS] = seat
        end = time.perf_counter() + READY_SECONDS
        for seat in range(1, len(team.threads) + 1):  # they need the interpreter's lock to come to their loop
            while words[m.SEATS + m.SEAT * seat + 2] == 0 and time.perf_counter() < end:
                time.sleep(0.0001)

    def __exit__(self, *error: object) -> None:
        for team in self.teams:
            m = loops()
            m.send_home(team.words.ctypes.data, 1)
            for thread in team.threads:
                thread.join()
            for lock in team.locks:
                ctypes.pythonapi.PyThread_free_lock(ctypes.c_void_p(lock))
            team.words[m.STOP], team.words[m.HELPERS], team.words[m.SEATS :] = 0, 0, 0
        self.teams = []


def _held_lock() -> int:
    """A lock of the interpreter that is held: who acquires it sleeps until it is released, by any thread."""
    api = ctypes.pythonapi
    api.PyThread_allocate_lock.restype = ctypes.c_void_p
    lock = api.PyThread_allocate_lock()
    api.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
    return lock
