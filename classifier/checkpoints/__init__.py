"""The installed checkpoints and their published evaluations."""
