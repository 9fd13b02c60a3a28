"""Workloads with their peers, side by side in one run: `python -m benchmarks [WORKLOAD ...] [--json]`."""
