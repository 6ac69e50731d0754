"""Labelled sounds: index, folds, windows, download."""
