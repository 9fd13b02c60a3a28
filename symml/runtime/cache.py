"""Where compiled pages live: one folder for each kernel, named by a hash of everything it depends on.

    folder = entry(key);  load(folder) -> (source, manifest) | None;  with locked(folder): store(folder, source, manifest)
    attach(module, folder)      what numba compiles for the module is kept in the folder, and read from there

Nothing that was written is trusted when it is read: `entry.json` holds the SHA-256 of its source and manifest, each
compiled function the SHA-256 of what is unpickled. What does not match is deleted and made again. Files are written
whole beside their place and renamed, so a reader meets the old file, the new one, or none. numba's own index, a
pickle without a checksum, is neither read nor written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

from symml.errors import FileError

PACKAGE = Path(__file__).parent.parent
MOST_ENTRIES = 200
DIGEST = 32  # bytes of a SHA-256
UNRELATED = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_DEBUG_CACHE")


def root() -> Path:
    """The cache folder, $SYMML_CACHE or ~/.cache/symml; ours alone (0700), for its files are executed."""
    base = os.environ.get("SYMML_CACHE")
    path = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symml"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = path.stat()
        if hasattr(os, "getuid") and facts.st_uid != os.getuid():
            raise FileError(
                f"the cache folder '{path}' belongs to somebody else", fix="set SYMML_CACHE to a folder of yours"
            )
        if facts.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as problem:
        raise FileError(f"cannot use the cache folder '{path}': {problem.strerror}", fix="set SYMML_CACHE") from None
    return path


def key(*parts: str) -> str:
    """SHA-256 of the parts, the versions, the machine, numba's settings and symml's own files.

    The features of the processor are in the key of each compiled function.
    """
    digest = hashlib.sha256()
    versions = [f"{name} {metadata.version(name)}" for name in ("numba", "numpy", "sympy", "llvmlite")]
    flags = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_") and k not in UNRELATED]
    for part in (*parts, *versions, *flags, sys.version, platform.machine()):
        digest.update(part.encode() + b"\0")
    for path in sorted(p for p in PACKAGE.rglob("*.*") if p.suffix not in (".pyc", ".lark_cache") and p.is_file()):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:40]


def entry(name: str) -> Path:
    """The folder of one kernel."""
    return root() / name


@contextlib.contextmanager
def locked(folder: Path, work: str = "") -> Iterator[None]:
    """Only one process builds an entry (or does other work on it); the others wait and then find it done. The lock goes
    with its process."""
    try:
        import fcntl
    except ImportError:  # elsewhere several may build the same entry, one after another
        yield
        return
    with _lock(folder, work).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(folder: Path, work: str = "") -> bool:
    """Does a process hold the lock?"""
    try:
        import fcntl

        with _lock(folder, work).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        pass
    return False


def _lock(folder: Path, work: str) -> Path:
    return folder.parent / f".{'.'.join(filter(None, (folder.name, work)))}.lock"


def holds(folder: Path, function: str) -> bool:
    """Has a function of the entry been compiled, for whichever types?"""
    return next(folder.glob(f"{function}.*.bin"), None) is not None


def load(folder: Path) -> tuple[str, dict] | None:
    """Source and manifest, or None where they are not there or not what was stored."""
    path = folder / "entry.json"
    try:
        stored = json.loads(path.read_bytes())
        source, manifest = stored["source"], stored["manifest"]
        good = stored["sha256"] == _digest(source, manifest)
        (folder / "kernel.py").read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(folder)
    return source, json.loads(manifest)


def store(folder: Path, source: str, manifest: dict) -> tuple[str, dict]:
    """Write an entry; returns what `load` would."""
    text = json.dumps(manifest)
    stored = {"sha256": _digest(source, text), "source": source, "manifest": text}
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write(folder / "kernel.py", source.encode())  # what tracebacks show and numba calls the module's file
        _write(folder / "entry.json", json.dumps(stored).encode())
    except OSError as problem:
        raise FileError(
            f"cannot write the cache folder '{folder}': {problem.strerror}", fix="set SYMML_CACHE"
        ) from None
    _forget(folder)
    return source, json.loads(text)


def keep_source(path: Path, source: str) -> None:
    """The file of a module that is about to be executed, again where its entry was removed meanwhile: numba asks for it."""
    if path.is_file():
        return
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
        _write(path, source.encode())
    except OSError as problem:
        raise FileError(f"cannot write '{path}': {problem.strerror}", fix="set SYMML_CACHE") from None


def _digest(source: str, manifest: str) -> str:
    return hashlib.sha256(source.encode() + b"\0" + manifest.encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """The whole file or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _forget(newest: Path) -> None:
    """Remove the entries that were not used for the longest time, beyond MOST_ENTRIES."""
    entries = []
    for path in newest.parent.iterdir():
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink() and path != newest:
                entries.append((path.stat().st_mtime, path))
    for _, path in sorted(entries)[: max(0, len(entries) + 1 - MOST_ENTRIES)]:
        shutil.rmtree(path, ignore_errors=True)
        for lock in path.parent.glob(f".{path.name}.*lock"):
            with contextlib.suppress(OSError):
                lock.unlink()


# compiled functions


def attach(module: ModuleType, folder: Path, source: str) -> None:
    """Make the folder the cache of every compiled function of a module, in the place of numba's own files."""
    from numba.core.caching import FunctionCache

    from symml.runtime.linking import Links

    links, stamp = Links(module), hashlib.sha256(source.encode()).hexdigest()
    for name, value in vars(module).items():
        own = getattr(value, "_cache", None)
        if isinstance(own, FunctionCache):
            own._cache_file = Compiled(folder, f"{name} {stamp}")
            links.attach(name, own)


class Compiled:
    """What numba's cache of one function asks for: load and save by key. A file is a SHA-256 and what it is of."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder, self.owner = folder, owner

    def path(self, key: tuple) -> Path:
        """The file of a key: signature, processor with its features, hash of the bytecode."""
        name = hashlib.sha256(f"{self.owner} {key!r}".encode()).hexdigest()
        return self.folder / f"{self.owner.split()[0]}.{name[:40]}.bin"

    def load(self, key: tuple) -> object | None:
        """What was saved under the key; None where it is not there, or was damaged and is deleted."""
        path = self.path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        digest, content = data[:DIGEST], data[DIGEST:]
        if digest != self._sealed(path, content):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return pickle.loads(content)

    def save(self, key: tuple, data: object) -> None:
        """Keep it; a folder that is full or gone keeps nothing, which costs the next run its time only."""
        from numba.core.serialize import dumps

        content, path = dumps(data), self.path(key)
        with contextlib.suppress(OSError):
            _write(path, self._sealed(path, content) + content)

    def flush(self) -> None:
        """Nothing to do: files are complete when they appear."""

    @staticmethod
    def _sealed(path: Path, content: bytes) -> bytes:
        """The SHA-256 of content under its own name, so that a file moved to another name does not match."""
        return hashlib.sha256(path.name.encode() + b"\0" + content).digest()
