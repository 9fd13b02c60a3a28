"""What cone.py holds, for unknowns without semidefinite matrices: there is nothing to add (and little to compile)."""


def even(x, cones):
    """Nothing to make symmetric."""


def inside(x, cones):
    """Nothing to move."""


def central(x, Z, cones, barrier):
    """No multipliers."""


def barrier_of(x, cones):
    """No barrier."""
    return 0.0


def apart(x, Z, cones, barrier):
    """No product of matrices."""
    return 0.0


def bend(K, right, x, Z, cones, barrier):
    """Nothing beside the Hessian."""


def step_of(dx, x, Z, cones, barrier, dZ):
    """No multipliers."""


def along(dx, x, cones):
    """No slope."""
    return 0.0


def room(x, dx, cones, longest, part):
    """No boundary."""
    return longest
