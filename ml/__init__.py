"""Sound classification: decoding, features, the network, attribution and rendering."""

import os

# PyTorch's OpenMP threads spin while they wait for each other. Beside another busy process that
# costs most of the throughput, so they sleep instead. OpenMP reads the variable once, when torch
# is loaded; every module that loads torch for inference imports `ml` first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
