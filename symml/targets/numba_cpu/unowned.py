"""Arrays that own nothing: whoever calls an algorithm of many short steps keeps its arrays until it returns, so the steps
need not count references, each count a locked word of memory. Emitted modules hold the functions they use."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

OWNERS = (0, 1)  # the parts of numba's arrays that name an owner


def without_owner(builder, kind, value):
    """An array, or a tuple of what may be arrays, without its owners."""
    if isinstance(kind, types.Array):
        for part in OWNERS:
            value = builder.insert_value(value, ir.Constant(value.type.elements[part], None), part)
    if isinstance(kind, types.BaseTuple):
        for k, inner in enumerate(kind.types):
            value = builder.insert_value(value, without_owner(builder, inner, builder.extract_value(value, k)), k)
    return value


@intrinsic
def unowned(context, given):
    """What is given, without owners."""

    def codegen(context, builder, signature, args):
        return without_owner(builder, signature.args[0], args[0])

    return given(given), codegen
