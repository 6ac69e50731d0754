"""Fault injection into real processes: `make chaos`. The results are in docs/reliability.md."""
