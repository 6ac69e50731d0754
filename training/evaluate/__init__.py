"""How good a checkpoint is: predictions, metrics, calibration, report."""
