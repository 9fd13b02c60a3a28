"""How the host calls a kernel: arrays to the device, one launch of one block, arrays back. Printed into modules, which
import cuda.

minibatch = launched(minibatch_kernel, ("both", ..., "read", "pieces"), np.int64, 256)
status = minibatch(x, g, ..., data, 0.1, steps)
"""

import numpy as np


def launched(kernel, roles, dtype, threads):
    """A function of numpy arrays, tuples of arrays and numbers that launches `kernel` and returns its result.

    roles, one an argument: read, work (copied in once a run), both (copied in and out at each call), write (copied out),
    number, pieces (a number; 0 begins a run). Without `pieces`, each call is a run. Arrays in tuples, and those that are
    only written, are flat on the device. `dtype` is the result's.
    """
    kept = {}

    def there(a, role, flat):
        if id(a) not in kept:
            shaped = np.ascontiguousarray(a).reshape(-1) if flat else np.ascontiguousarray(a)
            kept[id(a)] = (a, cuda.to_device(shaped if a.size else np.zeros(1, a.dtype)))
        elif role == "both":
            kept[id(a)][1].copy_to_device(a)
        return kept[id(a)][1]

    def argument(value, role):
        if role in ("number", "pieces"):
            return value
        if isinstance(value, tuple):
            return tuple(there(a, role, True) for a in value or (np.zeros(1),))
        return there(value, role, role == "write")

    def call(*args):
        if all(value == 0 for value, role in zip(args, roles) if role == "pieces"):
            kept.clear()
        result = cuda.to_device(np.zeros(1, dtype))
        kernel[1, threads](*[argument(value, role) for value, role in zip(args, roles)], result)
        for value, role in zip(args, roles):
            if role in ("both", "write"):
                value[...] = kept[id(value)][1].copy_to_host().reshape(-1)[: value.size].reshape(value.shape)
        return result.copy_to_host()[0].item()

    return call
