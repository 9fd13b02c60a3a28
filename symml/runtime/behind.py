"""A kernel compiled in a process of its own, behind whatever its page does meanwhile.

behind = start(folder, kernel's dtype, bound data, hypers, seed)
behind.check()    Overtaken once all that the run calls is compiled, in the cache
behind.stop()     ends the process; left alone, it goes on when this process ends as it should, and ends where it is killed

The process (`main`) does what a run does up to its first step, so it compiles the same functions for the same types; the
cache keeps each of them whole or not at all. One process compiles an entry, others wait for it. While it does, the entry
holds the file MARK: where that is left and nobody compiles, the compiler failed, and nobody tries so again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from symml.runtime import cache

if TYPE_CHECKING:
    from symml.runtime.bind import Bound
    from symml.runtime.launch import Kernel

MARK = "compiling"
ALONE = b"a"  # written to the process: go on when I have ended
LONGEST = 600  # seconds of CPU, after which it ends
APART = 0.02  # seconds between two looks at the process
BLOCK = 1 << 20
_running: dict[Path, Behind] = {}


class Overtaken(Exception):
    """The tuned kernel is compiled: what the plain one has not ended yet is given up."""


class Behind:
    """The process that compiles one entry of the cache."""

    def __init__(self, folder: Path, payload: bytes) -> None:
        self.folder, self.looked = folder, 0.0
        environment = {**os.environ, "PYTHONPATH": _with(os.environ.get("PYTHONPATH"), str(cache.PACKAGE.parent))}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "symml.runtime.behind"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        self.writer = threading.Thread(target=self._write, args=(payload,))
        self.writer.start()

    def _write(self, payload: bytes) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.write(len(payload).to_bytes(8, "big") + payload)
            self.process.stdin.flush()

    def check(self) -> None:
        """Overtaken where the process has ended well."""
        now = time.monotonic()
        if now - self.looked >= APART:
            self.looked = now
            if self.process.poll() == 0:
                raise Overtaken

    def stop(self) -> None:
        """End the process now; nothing of it is left but functions that are compiled."""
        self.process.kill()
        self.process.wait()
        self._close()
        tidy(self.folder, self.process.pid)
        (self.folder / MARK).unlink(missing_ok=True)
        _running.pop(self.folder, None)

    def leave(self) -> None:
        """Let it end its work alone."""
        self.writer.join(5.0)
        with contextlib.suppress(OSError, ValueError):
            os.write(self.process.stdin.fileno(), ALONE)
        self._close()
        self.process.returncode = self.process.poll() or 0  # it is nobody's child from here on

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()


def _with(paths: str | None, path: str) -> str:
    return path if not paths else f"{path}{os.pathsep}{paths}"


def possible(folder: Path) -> bool:
    """Can an entry be compiled behind a run? Not where it cannot be written, or where that failed before."""
    if os.name != "posix" or not sys.executable or not os.access(folder, os.W_OK):
        return False
    return not (folder / MARK).exists() or cache.is_locked(folder, MARK)


def start(folder: Path, dtype: str, bound: Bound, hypers: Mapping[str, float], seed: int) -> Behind:
    """The process that compiles the entry; the one that does already, where this process has begun it."""
    known = _running.get(folder)
    if known is not None and known.process.poll() is None:
        return known
    if not _running:
        atexit.register(_leave_all)
    _running[folder] = Behind(folder.resolve(), pickle.dumps((str(folder.resolve()), dtype, bound, dict(hypers), seed)))
    return _running[folder]


def _leave_all() -> None:
    for behind in list(_running.values()):
        if behind.process.poll() is None:
            behind.leave()
    _running.clear()


def tidy(folder: Path, pid: int) -> None:
    """Remove what a process that was stopped had not written to its end."""
    for path in folder.glob(f".*.{pid}.*"):
        path.unlink(missing_ok=True)


# the process


def main() -> None:
    """Compile what standard input describes, watching over the process that asked for it."""
    import resource

    with open(0, "rb", buffering=0, closefd=False) as given:
        length = int.from_bytes(_exactly(given, 8), "big")
        folder_, dtype, bound, hypers, seed = pickle.loads(_exactly(given, length))
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
    folder = Path(folder_)
    threading.Thread(target=_watch, args=(folder,), daemon=True).start()
    with cache.locked(folder, MARK):
        (folder / MARK).write_text(str(os.getpid()))
        compile_all(folder, dtype, bound, hypers, seed)
        (folder / MARK).unlink(missing_ok=True)
    os._exit(0)  # Python's own end waits for the watching thread


def _exactly(given: RawIOBase, count: int) -> bytes:
    """count bytes; the process that was to write them is gone where they do not come."""
    parts = []
    while count > 0:
        part = given.read(min(count, BLOCK))
        if not part:
            os._exit(1)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _watch(folder: Path) -> None:
    """End with the process that asked, unless it says that it ends as it should."""
    if os.read(0, 1) == ALONE:
        os.nice(10)
        return
    tidy(folder, os.getpid())
    with contextlib.suppress(OSError):
        if (folder / MARK).read_text() == str(os.getpid()):
            (folder / MARK).unlink()
    os._exit(1)


def compile_all(folder: Path, dtype: str, bound: Bound, hypers: Mapping[str, float], seed: int) -> None:
    """Do what a run does up to its first step, then what it reports and predicts."""
    from symml.runtime.launch import Kernel, load_module

    found = cache.load(folder)
    if found is None:
        return
    text, facts = found
    kernel = Kernel(facts, load_module(folder / "kernel.py", text), dtype)
    among = facts["choice"]["among"] if facts["choice"] else {}
    _first_step(kernel, bound, {**{name: values[0] for name, values in among.items()}, **hypers}, seed)


class _Begun(Exception):
    """A run has compiled what it needs."""


def _first_step(kernel: Kernel, bound: Bound, hypers: Mapping[str, float], seed: int) -> None:
    from symml.runtime import launch
    from symml.runtime.crew import Crew

    def begun(run: Mapping) -> None:
        raise _Begun

    p = launch.problem(kernel, bound, hypers, seed)
    with contextlib.suppress(_Begun):
        launch.train(p, between=begun)
    with Crew(kernel) as crew:
        if (validate := p.validate(crew)) is not None:
            validate(p.x)
    launch.report(kernel, p.x, bound, hypers)
    if "predict" in kernel.manifest["functions"]:
        launch.predict(kernel, p.x, bound, hypers)


if __name__ == "__main__":
    main()
