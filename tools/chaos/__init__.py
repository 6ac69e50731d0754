"""Faults, done to real processes: `make chaos`. docs/reliability.md says what came out."""
