"""A Plan as the source of one module for the GPU, and the manifest that says how to call it.

Host functions have the names and arguments of the CPU's module (`minibatch` or `lbfgs`, `predict`, `report_0` ...,
`initialise`), so the same drivers call them; each launches one kernel of one block. Kernels run `device_` functions:
the algorithm's own text turned by spmd.py, `value_and_grad`, `gather` and `update` printed from the Plan. Starting values
and permutations of the host are the CPU's text.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

from symml.ir.program import Tensor
from symml.loops.plan import Function, Plan
from symml.loops.program import LoopProgram, defined_by
from symml.targets.numba_cpu import wrap as cpu
from symml.targets.numba_cpu.bodies import RENAMED, TESTS
from symml.targets.numba_cpu.config import Config as CpuConfig
from symml.targets.numba_cpu.printer import INDENT, size
from symml.targets.numba_cuda.config import DEVICE, KERNEL, Config
from symml.targets.numba_cuda.printer import ALONE, BARRIER, Printer
from symml.targets.numba_cuda.spmd import PREFIX, SHARED, block_function, definitions, renamed
from symml.targets.numba_cuda.supported import refuse

HERE = Path(__file__).parent
LIBRARY = ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "tan", "sinh", "cosh", "arctan")
MATH = {"arctan": "atan"}  # where the math module has another name
DRAWN = ("multiply_high_low", "philox", "philox_block", "unit")
EXCHANGED = {
    False: ["return cuda.shfl_xor_sync(0xFFFFFFFF, value, offset)"],
    True: [
        "_, parts, _, _, _ = shared",
        "cuda.syncthreads()",
        "parts[cuda.threadIdx.x] = value",
        "cuda.syncthreads()",
        "return parts[cuda.threadIdx.x ^ offset]",
    ],
}
MEMORY = {
    "sums": ("THREADS", "real"),
    "parts": ("THREADS", "np.float64"),
    "left": ("LEFT", "real"),
    "right": ("RIGHT", "real"),
    "scratch": ("SCRATCH", "np.float64"),
}
BATCHES = (
    "x=both g=both state=both scalars=both data=read batch=work work=work order=work counters=both "
    "batch_size=number steps=pieces seed=number trace=both"
)
ALGORITHMS = ("minibatch", "descent", "lbfgs")
ROLES = {
    "minibatch": BATCHES,
    "descent": BATCHES,
    "lbfgs": "x=both g=both memory_s=both memory_y=both rho=both vectors=work scalars=both counters=both trace=both "
    "data=read work=work iterations=pieces tolerance=number",
    "gradient": "x=read g=write data=read work=work",
    "value": "x=read data=read work=work",
    "array": "x=read data=read work=work out=write",
}


def module_source(plan: Plan, config: Config) -> tuple[str, dict]:
    """The module's source and its manifest of functions (JSON-able)."""
    refuse(plan, config.scratch, ALGORITHMS, _functions())
    used: set[str] = set()
    manifest: dict[str, dict] = {}
    device: list[str] = []
    plan = replace(plan, functions=tuple(cpu.retiled(f, config.tile) for f in plan.functions))
    for f in plan.functions:
        lines, manifest[f.name] = _function(f, plan, config, used)
        device.append(_text(DEVICE, lines))
    if plan.optimizer is not None:
        device.append(_text(DEVICE, _gather(plan)))
    if plan.update is not None:
        device.append(_text(DEVICE, _update(plan, config, used)))
    head = [
        "import math",
        "",
        "import numpy as np",
        "from numba import config, cuda, njit",
        "",
        f"real = np.{config.dtype}",
    ]
    parts = ["\n".join([*head, *config.constants, *_library(), *_exchanged()])]
    parts += [
        _host(plan, config),
        _plain((HERE / "host.py").read_text()),
        _primitives(used),
        *_algorithms(plan),
        *device,
    ]
    parts += [_launch(f.name, f.kind) for f in plan.functions]
    if plan.algorithm:
        parts.append(_launch(plan.algorithm, plan.algorithm))
    return "\n\n\n".join(p.strip("\n") for p in parts) + "\n", manifest


def _text(decorator: str, lines: list[str]) -> str:
    return "\n".join([decorator, *lines])


# pieces of other files


def _library() -> list[str]:
    """Functions of one number: CUDA's, or numpy's in the simulator."""
    return [f"{n}_f64 = {n}_f32 = np.{n} if SIMULATED else math.{MATH.get(n, n)}" for n in LIBRARY]


def _exchanged() -> list[str]:
    lines = []
    for word, simulated in (("if SIMULATED:", True), ("else:", False)):
        body = [
            DEVICE,
            "def device_exchanged(value, offset, shared):",
            *(INDENT + line for line in EXCHANGED[simulated]),
        ]
        lines += ["", word, *(INDENT + line for line in body)]
    return lines


def _host(plan: Plan, config: Config) -> str:
    """Philox and the start of the parameters, as the CPU has them."""
    strict = CpuConfig(config.dtype)
    return cpu.philox(strict) + "\n\n\n" + _text(strict.strict_decorator, cpu.initial(plan, strict))


def _functions() -> frozenset[str]:
    """The functions of numbers that the target has, by their names in the language."""
    text = (HERE / "primitives.py").read_text()
    own = {n.name.rpartition("_")[0] for n in definitions(text)[0]}
    named = {printed: name for name, printed in RENAMED.items()}
    return frozenset((*LIBRARY, *TESTS, "select", *(named.get(name, name) for name in own)))


def _primitives(used: set[str]) -> str:
    nodes = [n for n in ast.parse((HERE / "primitives.py").read_text()).body if isinstance(n, ast.FunctionDef)]
    wanted = [_text(DEVICE, _lines(n)) for n in nodes if n.name in used]
    return "\n\n\n".join(["F = np.float32", *wanted])


def _algorithms(plan: Plan) -> list[str]:
    """What a block does together, Philox, and the algorithm of the plan, as device functions."""
    philox = [n for n in definitions((cpu.ALGORITHMS / "philox.py").read_text())[0] if n.name in DRAWN]
    device, constants = definitions((HERE / "device.py").read_text())
    together = {"exchanged", "value_and_grad", "gather", "update", *(n.name for n in device if _is_together(n))}
    alone = {n.name for n in (*philox, *device)} - together
    functions = [renamed(n, alone, together) for n in (*philox, *device)]
    if plan.algorithm:
        text = (cpu.ALGORITHMS / f"{plan.algorithm}.py").read_text()
        own, more = definitions(text)
        assert text.count("np.zeros(") <= 1, "a block has one scratch"
        own = [n for n in own if n.name not in together]  # `largest` is the block's
        together |= {n.name for n in own}
        functions += [block_function(n, alone, together) for n in own]
        constants = [*constants, *more]
    return ["\n".join(constants), *(_text(DEVICE, _lines(n)) for n in functions)]


def _is_together(node: ast.FunctionDef) -> bool:
    return SHARED in [a.arg for a in node.args.args]


def _plain(text: str) -> str:
    """The functions of a file as they are."""
    lines = text.splitlines()
    functions = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
    return "\n\n\n".join("\n".join(lines[n.lineno - 1 : n.end_lineno]) for n in functions)


def _lines(node: ast.FunctionDef) -> list[str]:
    return ast.unparse(node).split("\n")


# functions


def _function(f: Function, plan: Plan, config: Config, used: set[str]) -> tuple[list[str], dict]:
    p = f.program
    storage, head = _storage(f, plan, p)
    tail = _outputs(f, plan, storage, head)
    printer = Printer(storage, config)
    body = printer.program(p)
    used |= printer.used
    arguments = ", ".join(pair.split("=")[0] for pair in ROLES[f.kind].split())
    lines = [*head, *printer.head, *body, *tail]
    return [f"def {PREFIX}{f.name}({arguments}, {SHARED}):", *(INDENT + line for line in lines)], cpu.entry(
        f, config.dtype
    )


def _storage(f: Function, plan: Plan, p: LoopProgram) -> tuple[dict[Tensor, str], list[str]]:
    """The variable of each tensor and the lines that bind them."""
    storage: dict[Tensor, str] = {t: f"v_{t.name}" for t in (*plan.hypers, *f.data)}
    head = cpu.sizes(plan, [t.name for t in f.data], "data")
    head += [f"v_{t.name} = hyper[{k}]" for k, t in enumerate(plan.hypers)]
    head += [f"v_{t.name} = float(v_{t.name}[0])" for t in f.data if not t.shape]
    head += _views("x", plan.params, storage, "v_{}")
    storage |= {t: f"v_{t.name}" for t in p.workspace}
    if p.workspace:
        head.append("(" + "".join(f"v_{t.name}, " for t in p.workspace) + ") = work")
    for t in sorted(defined_by(p) - set(storage), key=lambda t: t.uid):
        storage[t] = f"v_{t.name}"
    return storage, head


def _views(vector: str, params: tuple[Tensor, ...], storage: dict[Tensor, str], form: str) -> list[str]:
    """Each parameter's part of the vector, flat; where each begins is at0x, at1x ..."""
    lines, start = [f"at0{vector} = 0"], f"at0{vector}"
    for k, t in enumerate(params):
        name = form.format(t.name)
        storage.setdefault(t, name)
        stop = f"at{k + 1}{vector}"
        lines.append(f"{stop} = {start} + {'*'.join(size(s) for s in t.shape) or '1'}")
        lines.append(f"{name} = {vector}[{start}:{stop}]" if t.shape else f"{name} = float({vector}[{start}])")
        start = stop
    return lines


def _outputs(f: Function, plan: Plan, storage: dict[Tensor, str], head: list[str]) -> list[str]:
    """Bind outputs to where they belong (adds to `head`), and the lines that end the function."""
    outputs = f.program.outputs
    if f.kind == "value":
        return [f"return float({storage[outputs[f.output]]})"]
    if f.kind == "array":
        return _array_output(outputs[f.output], storage)
    bound: dict[Tensor, str] = {}
    lines = _views("g", plan.params, {}, "g_{}")
    head += [line for line in lines if "float(" not in line]
    scalars, tail = [], []
    for k, t in enumerate(plan.params):
        d = outputs[f"d_{t.name}"]
        if not t.shape:
            scalars.append(f"{INDENT}g[at{k}g] = {storage[d]}")
        elif d in bound or d in f.program.inputs:
            tail += _copied(f"g_{t.name}", bound.get(d) or storage[d])
        else:
            bound[d] = storage[d] = f"g_{t.name}"
    tail += [ALONE, *scalars] if scalars else []
    return [*tail, BARRIER, f"return {storage[outputs[f.output]]}"]


def _copied(target: str, source: str) -> list[str]:
    return [f"for k in range(thread, {target}.shape[0], THREADS):", f"{INDENT}{target}[k] = {source}[k]"]


def _array_output(out: Tensor, storage: dict[Tensor, str]) -> list[str]:
    if not out.shape:
        return [ALONE, f"{INDENT}out[0] = {storage[out]}"]
    if out.kind in ("temp", "definition"):
        storage[out] = "out"
        return []
    return _copied("out", storage[out])


def _gather(plan: Plan) -> list[str]:
    """Copy a batch's rows; what has no row axis is passed on."""
    f = plan.function("value_and_grad")
    if plan.batch is None:
        return [f"def {PREFIX}gather(data, order, start, stop, batch, seed, step, {SHARED}):", f"{INDENT}return data"]
    at = [t.name for t in plan.dims].index(plan.batch.name)
    names = [t.name for t in f.data]
    rowed = [t for t in f.data if t.shape and t.shape[0] == plan.batch]
    lines = [
        BARRIER,
        "thread = cuda.threadIdx.x",
        f"sizes, hyper{''.join(f', v_{n}' for n in names)} = data",
        f"batch_sizes, _{''.join(f', b_{n}' for n in names)} = batch",
        *(f"n_{dim.name} = sizes[{k}]" for k, dim in enumerate(plan.dims)),
        "rows = stop - start",
        "for k in range(thread, sizes.shape[0], THREADS):",
        f"{INDENT}batch_sizes[k] = rows if k == {at} else sizes[k]",
    ]
    for t in rowed:
        columns = "*".join(map(size, t.shape[1:])) or "1"
        lines += [
            f"bits = device_width({columns})",
            "for r in range(thread >> bits, rows, THREADS >> bits):",
            f"{INDENT}k = order[start + r]*{columns}",
            f"{INDENT}for j in range(thread & ((1 << bits) - 1), {columns}, 1 << bits):",
            f"{INDENT * 2}b_{t.name}[r*{columns} + j] = v_{t.name}[k + j]",
        ]
    arrays = "".join(f", b_{t.name}" if t in rowed else f", v_{t.name}" for t in f.data)
    lines += [BARRIER, f"return batch_sizes, hyper{arrays}"]
    return [
        f"def {PREFIX}gather(data, order, start, stop, batch, seed, step, {SHARED}):",
        *(INDENT + line for line in lines),
    ]


def _update(plan: Plan, config: Config, used: set[str]) -> list[str]:
    """The optimiser in place: x, g and the rows of `state` are entries, `scalars` its hyper-parameters and counters."""
    o, p = plan.optimizer, plan.update
    storage, head, tail = cpu.update_storage(o, p)
    printer = Printer(storage, config)
    body = printer.program(p)
    used |= printer.used
    tail = [ALONE, *(INDENT + line for line in tail)] if tail else []
    lines = [*head, *printer.head, *body, *tail, BARRIER]
    return [f"def {PREFIX}update(x, g, state, scalars, {SHARED}):", *(INDENT + line for line in lines)]


# launches


def _launch(name: str, kind: str) -> str:
    """The kernel of a device function, and the host function that copies, launches and copies back."""
    roles = [pair.split("=") for pair in ROLES[kind].split()]
    arguments = ", ".join(argument for argument, _ in roles)
    call = f"{PREFIX}{name}({arguments}, ({', '.join(MEMORY)}))"
    stored = [f"value = {call}", ALONE.replace("thread", "cuda.threadIdx.x"), f"{INDENT}result[0] = value"]
    kernel = [
        *(f"{array} = cuda.shared.array({count}, {dtype})" for array, (count, dtype) in MEMORY.items()),
        *([call] if kind == "array" else stored),
    ]
    text = _text(KERNEL, [f"def {name}_kernel({arguments}, result):", *(INDENT + line for line in kernel)])
    dtype = "np.int64" if kind in ALGORITHMS else "np.float64"
    words = "".join(f"{role!r}, " for _, role in roles)
    return text + f"\n\n\n{name} = launched({name}_kernel, ({words}), {dtype}, THREADS)"
