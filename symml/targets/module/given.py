"""What a function of a standalone module is given, as source: sizes, data and buffers."""

from __future__ import annotations

from collections.abc import Mapping

INDENT = "    "


def lines_of(name: str, m: Mapping, dtype: str, prefix: str = "") -> list[str]:
    """Lines that make `inputs` and `work` of a function from `arrays` and `sizes`, all four names with a prefix."""
    function = m["functions"][name]
    integer = {d["name"] for d in m["data"] if d["domain"] and d["domain"]["kind"] in ("label", "length")}
    integer |= {g["name"] + end for g in m["graphs"] for end in ("_tail", "_head")}
    drawn = {d["name"]: d for d in m["noise"]}
    arrays = "".join(
        f", standard_noise(({sizes(drawn[n]['dims'], prefix)}), {m['noise'].index(drawn[n])}).astype(np.{dtype})"
        if n in drawn
        else f", np.asarray({prefix}arrays[{n!r}]{'' if n in integer else f', np.{dtype}'}, order='C')"
        for n in function["data"]
    )
    work = "".join(f"np.zeros(({sizes(b['shape'], prefix)}), np.{b['dtype']}), " for b in function["work"])
    if function.get("cut"):
        rows = "".join(f"{name}_rows{k}, " for k in range(function["chunks"]["regions"]))
        work += f"*chunk_places({function['chunks']!r}, {prefix}sizes, ({rows})), "
    numbers = f"np.array([{prefix}sizes.get(d, 0) for d in DIMS], np.int64)"
    return [f"{prefix}inputs = ({numbers}, np.array(hyper, np.float64){arrays})", f"{prefix}work = ({work})"]


def sizes(shape: list, prefix: str = "") -> str:
    """Sizes of a manifest as source, a comma behind each."""
    return "".join(f"{size(s, prefix)}, " for s in shape)


def size(s: int | str | Mapping, prefix: str = "") -> str:
    """A size of a manifest as source."""
    if isinstance(s, Mapping):
        return "(" + " + ".join(f"{f}*{prefix}sizes[{n!r}]" if n else str(f) for n, f in s.items()) + ")"
    return str(s) if isinstance(s, int) else f"{prefix}sizes[{s!r}]"


def call_of(m: Mapping, dtype: str, name: str) -> list[str]:
    """Lines that make NAME_given, the data and the buffers of one of the kernel's functions."""
    inputs, work = lines_of(name, m, dtype)
    return [
        inputs.replace("inputs = ", f"{name}_inputs = ", 1),
        f"{name}_given = ({name}_inputs, {work.removeprefix('work = ')})",
    ]
