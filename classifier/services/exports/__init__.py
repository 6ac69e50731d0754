"""Results in files for other programs: one module per format."""
