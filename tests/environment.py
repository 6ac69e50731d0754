"""Loaded before Django's settings: tests never touch what a developer's own `.env` names.

Two halves of the tests run side by side (pytest-xdist). On a Redis server each has a database of
its own, as it has on PostgreSQL.
"""

import os
import tempfile
from urllib.parse import urlsplit, urlunsplit

os.environ["ENV_FILE"] = os.devnull
os.environ["SONOSCOPE_DATA"] = tempfile.mkdtemp(prefix="sonoscope-tests-")
half = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if half and os.environ.get("REDIS_URL"):
    server = urlsplit(os.environ["REDIS_URL"])
    number = int(server.path.strip("/") or 0) + int(half)
    os.environ["REDIS_URL"] = urlunsplit(server._replace(path=f"/{number}"))
