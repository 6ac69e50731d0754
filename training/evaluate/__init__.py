"""Measure a checkpoint: predictions, metrics, calibration, report."""
