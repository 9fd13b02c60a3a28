"""LoopPrograms as text.

stream n by 64
  nest i, j:  t1[i] = sum[j] X[i, j]*w[j]
gemm dW = X' dZ
"""

from __future__ import annotations

from symml.ir import show as ir_show
from symml.loops.program import Call, Gemm, Item, LoopProgram, Rounds, Steps


def loop_program(p: LoopProgram) -> str:
    """The whole LoopProgram."""
    lines = [ir_show.declaration(t) for t in p.inputs]
    for region in p.regions:
        indent = ""
        for t in region.zeroed:
            lines.append(f"zero {t.name}")
        if region.stream is not None:
            lines.append(f"stream {region.stream.name} by {region.block}")
            indent = "  "
        for item in region.items:
            lines += [indent + line for line in _item(item)]
    lines.append("workspace " + ", ".join(f"{t!r}{' (block)' if t in p.local else ''}" for t in p.workspace))
    lines.append("outputs " + ", ".join(f"{name} = {t.name}" for name, t in p.outputs.items()))
    return "\n".join(lines)


def _item(item: Item) -> list[str]:
    if isinstance(item, Call):
        return ir_show.node(item.node)
    if isinstance(item, Steps | Rounds):
        head = ir_show.node(item.node.with_statements(()))[0]
        return [head, *(f"  {line}" for inner in item.items for line in _item(inner))]
    if isinstance(item, Gemm):
        a = item.a.name + "'" * item.transpose_a
        b = item.b.name + "'" * item.transpose_b
        scale = "" if item.scale == 1 else f"{item.scale} "
        return [f"gemm {item.statement.out.name} = {scale}{a} {b}"]
    chosen = ir_show.letters(item.loops)
    head = f"nest {', '.join(chosen[k] for k in item.loops)}:" if item.loops else "scalar:"
    return [head, *(f"  {ir_show.statement(s)}" for s in item.statements)]
