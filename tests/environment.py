"""Loaded before Django's settings, so that tests ignore a developer's own `.env`.

pytest-xdist runs several parts of the tests at the same time. Each has its own database on a Redis
server, as on PostgreSQL.
"""

import os
import tempfile
from urllib.parse import urlsplit, urlunsplit

os.environ["ENV_FILE"] = os.devnull
os.environ["SONOSCOPE_DATA"] = tempfile.mkdtemp(prefix="sonoscope-tests-")
part = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if part and os.environ.get("REDIS_URL"):
    server = urlsplit(os.environ["REDIS_URL"])
    number = int(server.path.strip("/") or 0) + int(part)
    os.environ["REDIS_URL"] = urlunsplit(server._replace(path=f"/{number}"))
