"""A kernel meets data: readers, binding, cache, launch, history. It receives source and manifest, never a Program."""
