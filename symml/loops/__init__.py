"""The LoopProgram: where loops come from. Decisions are taken here; the printers of targets/ are dumb."""
