"""Distillation: the network also learns what a larger one, the teacher, makes of each sound."""
