"""Targets: LoopPrograms as source. Each is a config, a printer and a wrap; decisions were taken in loops/."""
