"""A Plan as the source of one module of numba functions, and the manifest that says how to call them.

The functions all take `x` (all parameters in one vector), `data` = (sizes, hyper, array, ...) and `work` = (buffer, ...).
`sizes` are the dims in the plan's order, `hyper` the hyper-parameters. User names appear with the prefix `v_`, sizes
with `n_`, so no name of a page can meet a name of Python or of this module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sympy import Expr

from symml.ir.optimizer import Optimizer
from symml.ir.program import Dim, Tensor
from symml.loops.plan import Function, Plan
from symml.loops.program import LoopProgram, defined_by, statements_of
from symml.targets.numba_cpu.batches import BatchPrinter, gather, in_place
from symml.targets.numba_cpu.bodies import Bodies
from symml.targets.numba_cpu.chunks import ChunkPrinter, places
from symml.targets.numba_cpu.config import Config, addressed, inlined, internal
from symml.targets.numba_cpu.printer import INDENT, Printer, size

# Lines of a gradient that becomes a part of the steps: next to more than that a call is no time, and it is compiled once.
LONGEST_INSIDE = 100
HERE = Path(__file__).parent
ALGORITHMS = HERE.parent.parent / "algorithms"
PIECES = ("primitives.py", "special.py", "linalg.py", "calls.py", "rows.py", "unowned.py")


def module_source(plan: Plan, config: Config) -> tuple[str, dict]:
    """The module's source and its manifest of functions (JSON-able)."""
    used: set[str] = set()
    functions: list[str] = []
    manifest: dict[str, dict] = {}
    plan = replace(plan, functions=tuple(retiled(f, config.block) for f in plan.functions))
    stepped = plan.optimizer is not None  # a step may take less than a microsecond: calls would be a part of that
    for f in plan.functions:
        chunks, lines, manifest[f.name] = _function(f, plan, config, used)
        functions += [_text(addressed(config.decorator), text) for text in chunks]
        inside = stepped and f.kind == "gradient" and not chunks and len(lines) <= LONGEST_INSIDE
        functions.append(_text(inlined(config.decorator) if inside else config.decorator, lines))
    if stepped:
        functions.append(_text(inlined(config.strict_decorator), gather(plan, config, used)))
    if plan.update is not None:
        functions.append(_text(inlined(config.decorator), _update(plan, config, used)))
        if plan.optimizer.by_tensor:
            functions.append(_text(config.strict_decorator, _by_tensor(plan)))
    algorithms = [philox(config)]
    for name in (*plan.files, *([plan.algorithm] if plan.algorithm else [])):
        text = decorated((ALGORITHMS / f"{name}.py").read_text(), config.strict_decorator, entry=name, lent=stepped)
        used |= {"unowned"} if stepped else set()
        algorithms.append(text)
    functions.append(_text(config.strict_decorator, initial(plan, config)))
    carray = ["from numba import carray"] * ("pointer" in used)
    head = ["import math", "", "import numpy as np", *carray, *primitives(used), "", f"real = np.{config.dtype}"]
    return "\n".join(head) + "\n\n\n" + "\n\n\n".join([*algorithms, *functions]) + "\n", manifest


def _text(decorator: str, lines: list[str]) -> str:
    return "\n".join([decorator, *lines])


# functions


def _function(f: Function, plan: Plan, config: Config, used: set[str]) -> tuple[list[list[str]], list[str], dict]:
    """The functions of its chunks, the function, its entry of the manifest."""
    p = f.program
    storage, head = _storage(f, plan, p)
    tail = _outputs(f, plan, storage, head)
    batched = plan.batch is not None and any(r.stream == plan.batch for r in p.regions)
    found = None if batched else places(p, plan.dims)
    cut = found is not None and config.chunks
    facts = {**entry(f, config.dtype), "chunks": found and found.entry(config.dtype, _shape), "cut": cut}
    printer = ChunkPrinter(f.name, storage, config, found) if cut else _printer(f, plan, storage, config)
    body, chunks = printer.program(p), []
    if cut:
        head = _storage(f, plan, p, found.names)[1]
        tail = _outputs(f, plan, _storage(f, plan, p)[0], head)
        chunks = printer.rows
    used |= printer.used
    lines = [f"def {f.name}({f.arguments}):", *(INDENT + line for line in (*head, *body, *tail))]
    return chunks, lines, facts


def _printer(f: Function, plan: Plan, storage: dict[Tensor, str], config: Config) -> Printer:
    """A batch's products of rows and vectors are calls, but where bounds are checked."""
    if plan.batch is None or f.kind != "gradient" or config.boundscheck:
        return Printer(storage, config)
    return BatchPrinter(storage, config, in_place(plan, config))


def retiled(f: Function, rows: int) -> Function:
    """The function with blocks of another number of rows."""
    regions = tuple(replace(r, block=rows) if r.stream is not None else r for r in f.program.regions)
    return replace(f, program=replace(f.program, regions=regions))


def entry(f: Function, dtype: str) -> dict:
    """The manifest of a function: what it reads, its work arrays, the array it fills."""
    p = f.program
    out = p.outputs[f.output] if f.kind == "array" else None
    return {
        "kind": f.kind,
        "part": f.part,
        "data": [t.name for t in f.data],
        "work": [_buffer(t, p, dtype) for t in p.workspace],
        "out": None if out is None else {"shape": _shape(out.shape), "integer": out.integer},
        "parts": [_shape(p.outputs[name].shape) for name in f.outputs],
    }


def _buffer(t: Tensor, p: LoopProgram, dtype: str) -> dict:
    shape = _shape(t.shape)
    if t in p.local:
        block = next(r.block for r in p.regions if r.stream == t.shape[0])
        shape[0] = block
    return {"shape": shape, "dtype": "int64" if t.integer else dtype}


def _shape(shape: Iterable[Expr]) -> list[str | int | dict]:
    """Sizes as JSON: a number, a dim, or a sum as {dim: factor, ..., "": number}."""
    return [size_entry(s) for s in shape]


def size_entry(s: Expr) -> str | int | dict:
    """A size as JSON."""
    if s.is_Integer or isinstance(s, Dim):
        return int(s) if s.is_Integer else s.name
    constant, rest = s.as_coeff_Add()
    terms = [term.as_coeff_Mul() for term in rest.as_ordered_terms()]
    return {"": int(constant), **{dim.name: int(factor) for factor, dim in terms}}


def _storage(f: Function, plan: Plan, p: LoopProgram, more: Sequence[str] = ()) -> tuple[dict[Tensor, str], list[str]]:
    """The variable of each tensor and the lines that bind them; `more` stands behind the buffers in `work`."""
    storage: dict[Tensor, str] = {}
    head = sizes(plan, [t.name for t in f.data], "data")
    for k, t in enumerate(plan.hypers):
        storage[t] = f"v_{t.name}"
        head.append(f"v_{t.name} = hyper[{k}]")
    for t in f.data:
        storage[t] = f"v_{t.name}"
        if not t.shape:
            head.append(f"v_{t.name} = float(v_{t.name}[()])")
    head += _views("x", f.params or plan.params, storage, "v_{}") + _views("v", f.along, storage, "v_{}")
    for t in p.workspace:
        storage[t] = f"v_{t.name}"
    if p.workspace or more:
        head.append("(" + "".join(f"{name}, " for name in (*(f"v_{t.name}" for t in p.workspace), *more)) + ") = work")
    for t in p.workspace:
        if plan.batch in t.shape[1:]:  # the last batch may be smaller: what is used of the buffer is contiguous
            shape = [size(n) for n in t.shape]
            head.append(f"v_{t.name} = v_{t.name}.reshape(-1)[:{'*'.join(shape)}].reshape(({', '.join(shape)}))")
        elif t not in p.local and not t.shape[0].is_Integer:
            head.append(f"v_{t.name} = v_{t.name}[:{size(t.shape[0])}]")
    for t in sorted(defined_by(p) - set(storage), key=lambda t: t.uid):
        storage[t] = f"v_{t.name}"
    return storage, head


def sizes(plan: Plan, names: list[str], source: str) -> list[str]:
    """Lines that take sizes, hyper-parameters and arrays out of the data's tuple."""
    arrays = "".join(f", v_{name}" for name in names)
    head = [f"sizes, hyper{arrays} = {source}"]
    return head + [f"n_{dim.name} = sizes[{k}]" for k, dim in enumerate(plan.dims)]


def _views(vector: str, params: tuple[Tensor, ...], storage: dict[Tensor, str], form: str) -> list[str]:
    """Each parameter's part of the vector, in its shape."""
    lines, start = [], "0"
    for k, t in enumerate(params):
        name = form.format(t.name)
        storage.setdefault(t, name)
        if not t.shape:
            lines.append(f"{name} = float({vector}[{start}])")
            stop = f"{start} + 1"
        else:
            stop = f"{start} + {'*'.join(size(s) for s in t.shape)}"
            shaped = f".reshape(({', '.join(size(s) for s in t.shape)}))" if len(t.shape) > 1 else ""
            lines.append(f"{name} = {vector}[{start}:{stop}]{shaped}")
        if k + 1 < len(params):
            lines.append(f"at{k + 1}{vector} = {stop}")
            start = f"at{k + 1}{vector}"
    return lines


def _outputs(f: Function, plan: Plan, storage: dict[Tensor, str], head: list[str]) -> list[str]:
    """Bind outputs to where they belong (adds to `head`), and the lines that end the function."""
    outputs = f.program.outputs
    if f.kind == "value":
        return [f"return float({storage[outputs[f.output]]})"]
    if f.kind == "array":
        return _array_output(outputs[f.output], storage, head)
    if f.kind == "vector":
        return _vector_outputs([outputs[name] for name in f.outputs], f, storage, head)
    tail: list[str] = []
    params = f.params or plan.params
    gradients = {t: outputs[f"d_{t.name}"] for t in params}
    bound: dict[Tensor, str] = {}
    places: dict[Tensor, str] = {}
    lines = _views("g", params, places, "g_{}")
    starts = [line for line in lines if line.startswith("at")]
    head += starts + [line for line in lines if not line.startswith("at") and "float(" not in line]
    at = "0"
    for k, t in enumerate(params):
        d = gradients[t]
        if not t.shape:
            tail.append(f"g[{at}] = {storage[d]}")
        elif d in bound or d in f.program.inputs:
            tail += _copied(f"g_{t.name}", bound.get(d) or storage[d], t)
        else:
            bound[d] = storage[d] = f"g_{t.name}"
        at = f"at{k + 1}g"
    return [*tail, f"return {storage[outputs[f.output]]}"]


def _array_output(out: Tensor, storage: dict[Tensor, str], head: list[str]) -> list[str]:
    if not out.shape:
        return [f"out[()] = {storage[out]}"]
    if storage[out] == f"v_{out.name}" and out.kind in ("temp", "definition"):
        storage[out] = "out"
        return []
    return _copied("out", storage[out], out)


def _vector_outputs(outs: list[Tensor], f: Function, storage: dict[Tensor, str], head: list[str]) -> list[str]:
    """The parts of `out` are where the outputs are computed; what is a number, an input or there already is copied."""
    lines = _views("out", tuple(outs), {}, "o_{}")
    head += [line for line in lines if "float(" not in line]
    tail, at, bound = [], "0", set(f.program.inputs)
    for k, t in enumerate(outs):
        if not t.shape:
            tail.append(f"out[{at}] = {storage[t]}")
        elif t in bound:
            tail += _copied(f"o_{t.name}", storage[t], t)
        else:
            storage[t] = f"o_{t.name}"
            bound.add(t)
        at = f"at{k + 1}out"
    return tail or ["pass"]


def _copied(target: str, source: str, t: Tensor) -> list[str]:
    """target = source, entry by entry: numba takes more than a second to compile what `target[:] = source` says of shapes."""
    letters = [f"q{axis}" for axis in range(len(t.shape))]
    loops = [f"{INDENT * k}for {q} in range({source}.shape[{k}]):" for k, q in enumerate(letters)]
    places = ", ".join(letters)
    return [*loops, f"{INDENT * len(letters)}{target}[{places}] = {source}[{places}]"]


def _update(plan: Plan, config: Config, used: set[str]) -> list[str]:
    """The optimiser in place: x, g and the rows of `state` are entries, `scalars` its hyper-parameters and counters."""
    storage, head, tail = update_storage(plan.optimizer, plan.update)
    printer = Printer(storage, config)
    body = printer.program(plan.update)
    used |= printer.used
    name = "update_tensor" if plan.optimizer.by_tensor else "update"
    return [f"def {name}(x, g, state, scalars):", *(INDENT + line for line in (*head, *body, *tail))]


def _by_tensor(plan: Plan) -> list[str]:
    """A step of each parameter by itself; behind the scalars of the optimiser stands where each one ends."""
    count = len(plan.optimizer.hypers) + len(plan.optimizer.counters)
    return [
        "def update(x, g, state, scalars):",
        f"{INDENT}before, at = scalars.copy(), 0",
        f"{INDENT}for k in range({count}, scalars.shape[0]):",
        f"{INDENT * 2}scalars[:{count}] = before[:{count}]",
        f"{INDENT * 2}end = int(scalars[k])",
        f"{INDENT * 2}update_tensor(x[at:end], g[at:end], state[:, at:end], scalars)",
        f"{INDENT * 2}at = end",
    ]


def update_storage(o: Optimizer, p: LoopProgram) -> tuple[dict[Tensor, str], list[str], list[str]]:
    """The variables of an optimiser, the lines that bind them, and those that keep its counters."""
    storage = {o.theta: "x", o.gradient: "g"}
    head = ["n_entries = x.shape[0]"]
    for k, t in enumerate(o.state):
        storage[t] = f"v_{t.name}"
        head.append(f"v_{t.name} = state[{k}]")
    for k, t in enumerate((*o.hypers, *o.counters)):
        storage[t] = f"v_{t.name}"
        head.append(f"v_{t.name} = scalars[{k}]")
    for s in (s for r in p.regions for s in statements_of(r)):
        old = p.in_place.get(s.out)
        storage[s.out] = storage[old] if old is not None and s.out.shape else f"v_{s.out.name}"
        if old is None and s.out.shape and s.out not in p.local:
            head.append(f"{storage[s.out]} = np.empty_like(x)")
    tail = [f"scalars[{k}] = {storage[o.updates[t]]}" for k, t in enumerate(o.counters, start=len(o.hypers))]
    return storage, head, tail


def initial(plan: Plan, config: Config) -> list[str]:
    """Fill x with the parameters' start."""
    storage = {t: f"v_{t.name}" for t in plan.hypers}
    head = [f"n_{dim.name} = sizes[{k}]" for k, dim in enumerate(plan.dims)]
    head += [f"v_{t.name} = hyper[{k}]" for k, t in enumerate(plan.hypers)]
    bodies = Bodies(storage, config, str, set())
    body, at = [], "0"
    for k, start in enumerate(plan.starts):
        count = "*".join(size(s) for s in start.tensor.shape) or "1"
        body.append(f"at{k + 1} = {at} + {count}")
        args = [bodies.scalar(a) for a in start.args]
        if start.kind == "sample":
            body.append(f"x[{at}:at{k + 1}] = 0.0  # rows of {start.source} come here")
        elif start.kind == "identity":
            rows, columns = map(size, start.tensor.shape)
            body += [f"x[{at}:at{k + 1}] = 0.0", f"for k in range(min({rows}, {columns})):"]
            body.append(f"{INDENT}x[{at} + k * ({columns} + 1)] = 1.0")
        elif start.kind == "constant":
            body.append(f"x[{at}:at{k + 1}] = {args[0]}")
        else:
            body.append(f"fill_normal(x[{at}:at{k + 1}], {args[0]}, {args[1]}, seed, INIT + {256 * k}, 0)")
        at = f"at{k + 1}"
    return ["def initialise(x, sizes, hyper, seed):", *(INDENT + line for line in (*head, *body))]


# pieces of other files


def primitives(used: set[str]) -> list[str]:
    """The imports and the source of the primitives that are used, with what they need, in file order."""
    found = [_used_of(HERE / name, used) for name in PIECES]
    imports = dict.fromkeys(line for lines, _ in found for line in lines)
    compiler = [] if any(line.startswith("from numba import njit") for line in imports) else ["from numba import njit"]
    return [*compiler, *imports, *(line for _, lines in found for line in lines)]


def _used_of(path: Path, used: set[str]) -> tuple[list[str], list[str]]:
    """The imports of a file, where anything of it is used, and the source of what is."""
    tree = ast.parse(text := path.read_text())
    lines = text.splitlines()
    named: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _defined(node):
            named[name] = node
    wanted, todo = set(), [name for name in used if name in named]
    while todo:
        node = named[todo.pop()]
        if id(node) in wanted:
            continue
        wanted.add(id(node))
        todo += [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in named]
    out: list[str] = []
    for node in tree.body:
        if id(node) in wanted:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            blank = ["", ""] if isinstance(node, ast.FunctionDef) else []
            out += [*blank, *lines[first - 1 : node.end_lineno]]
    return (_imports(tree) if wanted else []), out


def _imports(tree: ast.Module) -> list[str]:
    texts = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    return [t for t in texts if t not in ("import math", "import numpy as np")]


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []


def philox(config: Config) -> str:
    """The generator; what only computes with numbers is inlined, so that draws of many counters are one vector loop."""
    return decorated((ALGORITHMS / "philox.py").read_text(), config.strict_decorator, inlined(config.strict_decorator))


def decorated(text: str, decorator: str, numbers: str = "", entry: str = "", lent: bool = False) -> str:
    """A file of algorithms/ without its imports and docstring, each function compiled; `numbers` is the decorator of those
    that store into no array, where it differs. Where `entry` is given, Python calls that function alone; `lent`: with
    arrays that are its caller's."""
    tree = ast.parse(text)
    lines = text.splitlines()
    out: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            continue
        part = lines[node.lineno - 1 : node.end_lineno]
        if isinstance(node, ast.FunctionDef):
            chosen = decorator if _stores(node) else numbers or decorator
            out += ["", "", chosen if entry in ("", node.name) else internal(chosen)]
            if lent and node.name == entry:
                first = node.body[1].lineno - node.lineno  # behind the docstring
                part = [*part[:first], _lent(node), *part[first:]]
        out += part
    return "\n".join(out).strip("\n")


def _lent(node: ast.FunctionDef) -> str:
    names = ", ".join(a.arg for a in node.args.args)
    return f"{INDENT}{names} = unowned(({names}))"


def _stores(node: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) for n in ast.walk(node))
