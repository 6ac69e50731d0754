"""Loaded before Django's settings: tests never touch what a developer's own `.env` names."""

import os
import tempfile

os.environ["ENV_FILE"] = os.devnull
os.environ["SONOSCOPE_DATA"] = tempfile.mkdtemp(prefix="sonoscope-tests-")
