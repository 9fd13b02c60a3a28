"""Where compiled pages live: source, manifest and numba's own files, by a hash of everything they depend on.

folder = entry(key);  store(folder, source, manifest);  load(folder)  ->  (source, manifest) | None
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from symml.errors import FileError

PACKAGE = Path(__file__).parent.parent


def root() -> Path:
    """The cache folder, $SYMML_CACHE or ~/.cache/symml; ours alone (0700), for its files are executed."""
    base = os.environ.get("SYMML_CACHE")
    path = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symml"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = path.stat()
    except OSError as problem:
        raise FileError(f"cannot use the cache folder '{path}': {problem.strerror}", fix="set SYMML_CACHE") from None
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        raise FileError(
            f"the cache folder '{path}' belongs to somebody else", fix="set SYMML_CACHE to a folder of yours"
        )
    if facts.st_mode & 0o022:
        path.chmod(0o700)
    return path


def key(*parts: str) -> str:
    """SHA-256 of the parts, the versions, the processor and symml's own files."""
    digest = hashlib.sha256()
    versions = [f"{name} {metadata.version(name)}" for name in ("numba", "numpy", "sympy", "llvmlite")]
    own = [
        f"{p.relative_to(PACKAGE)} {p.stat().st_size} {p.stat().st_mtime_ns}"
        for p in sorted(PACKAGE.rglob("*.*"))
        if p.suffix != ".pyc"
    ]
    for part in (*parts, *versions, sys.version, platform.machine(), platform.processor(), *own):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:40]


def entry(name: str) -> Path:
    """The folder of one kernel."""
    return root() / name


def load(folder: Path) -> tuple[str, dict] | None:
    """Source and manifest, or None where they are not there or not whole."""
    try:
        source = (folder / "kernel.py").read_text(encoding="utf-8")
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (source, manifest) if manifest.get("sha256") == hashlib.sha256(source.encode()).hexdigest() else None


def store(folder: Path, source: str, manifest: dict) -> None:
    """Write an entry; the manifest comes last and whole, so a torn entry is no entry."""
    manifest = {**manifest, "sha256": hashlib.sha256(source.encode()).hexdigest()}
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in (("kernel.py", source), ("manifest.json", json.dumps(manifest))):
        if name == "kernel.py" and (folder / name).is_file() and (folder / name).read_text(encoding="utf-8") == text:
            continue  # numba's files hang on the time stamp of this one
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_text(text, encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):
            temporary.replace(folder / name)
