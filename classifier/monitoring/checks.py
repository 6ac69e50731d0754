"""Checks of an installation, with advice for each problem: `manage.py doctor`.

Every rule is a function that checks one thing and returns one `Finding`. A rule whose subject is
unavailable reports that itself; an unavailable database is reported by `examine`. No rule changes
anything.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.template.defaultfilters import pluralize
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from classifier.checkpoints import inventory
from classifier.models import Analysis, Inspection, State
from classifier.monitoring import probes
from classifier.monitoring.precision import DAYS, recomputed_windows

MIN_FREE_BYTES = 200_000_000
COMFORTABLE_FREE_BYTES = 5_000_000_000
MAX_SKEW_S = 5.0
# A ping always waits for its whole timeout: try a short one, then longer ones for busy machines.
PINGS_S = (1.0, 3.0, 5.0)
STATIC_FILES = ("css/app.css", "js/app.js", "vendor/htmx.min.js")
# File locks and memory maps are unreliable on these.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs"}

Verdict = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a rule.

    Attributes
    ----------
    seen : str
        What was found.
    hint : str
        What to do; "" if the verdict is ok.
    """

    verdict: Verdict
    seen: str
    hint: str = ""


def ok(seen: str) -> Finding:
    return Finding("ok", seen)


def warning(seen: str, hint: str) -> Finding:
    return Finding("warning", seen, hint)


def wrong(seen: str, hint: str) -> Finding:
    return Finding("wrong", seen, hint)


def examine(names: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Yield the name and finding of each rule, in order of dependency."""
    for name in filter(names.__contains__, RULES):
        try:
            yield name, RULES[name]()
        except DatabaseError as error:
            yield name, _no_database(error)


# --- data ---------------------------------------------------------------------------------


def data_folder() -> Finding:
    folder = Path(settings.DATA)
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = (
            "Make it writable by the user that Sonoscope runs as, or set SONOSCOPE_DATA to another "
            "folder."
        )
        return wrong(f"{folder} is not writable: {error.strerror}", hint)
    return ok(f"{folder} is writable")


def disk() -> Finding:
    try:
        free = shutil.disk_usage(settings.DATA).free
    except OSError as error:
        return wrong(f"{settings.DATA}: {error.strerror}", "See `data` above.")
    seen = f"{free / 1e9:.1f} GB free under {settings.DATA}"
    if free < MIN_FREE_BYTES:
        return wrong(seen, "Free up disk space. Uploads and results can no longer be stored.")
    if free < COMFORTABLE_FREE_BYTES:
        hint = (
            "Free up disk space. Each analysis needs up to 150 kB in addition to the uploaded file."
        )
        return warning(seen, hint)
    return ok(seen)


def secret_key() -> Finding:
    named = os.environ.get("SECRET_KEY_FILE")
    if os.environ.get("SECRET_KEY"):
        return ok("SECRET_KEY is set")
    path = Path(named or settings.SECRET_KEY_FILE)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        hint = "Start Sonoscope once to create the key, or set SECRET_KEY_FILE."
        return wrong(f"{path}: {error.strerror}", hint)
    # A mounted secret may be readable by others, but not writable.
    forbidden = 0o022 if named else 0o077
    if mode & forbidden:
        seen = f"{path} is accessible to other users (mode {mode:o})"
        return wrong(seen, f"Run chmod 600 {path}")
    return ok(f"{path} (mode {mode:o})")


def static_files() -> Finding:
    """Check that the stylesheets and scripts of the pages have been collected."""
    missing = [name for name in STATIC_FILES if not _collected(name)]
    if not missing:
        return ok(f"collected in {settings.STATIC_ROOT}")
    if any(name.startswith("vendor/") and not finders.find(name) for name in missing):
        hint = "Run npm ci && npm run vendor (make run does this), then manage.py collectstatic"
        return wrong(f"not installed yet: {', '.join(missing)}", hint)
    return wrong(f"not collected: {', '.join(missing)}", "Run manage.py collectstatic --no-input")


def _collected(name: str) -> bool:
    try:
        address = probes.static_address(name)
    except ValueError:
        return False
    return (Path(settings.STATIC_ROOT) / address.removeprefix(settings.STATIC_URL)).exists()


# --- database -----------------------------------------------------------------------------


def database() -> Finding:
    probes.database()
    return ok(_database_name())


def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return ok("all applied")
    named = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
    more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
    return wrong(f"not applied: {named}{more}", "Run manage.py migrate (make run does this)")


def database_place() -> Finding:
    """Check that SQLite is on a local disk."""
    if connection.vendor != "sqlite":
        return ok(f"{connection.vendor} manages its own storage")
    path = Path(str(connection.settings_dict["NAME"])).absolute()
    kind = file_system_of(path)
    if kind in NETWORK_FILE_SYSTEMS:
        hint = "Move SONOSCOPE_DATA to a local disk, or set DATABASE_URL to use PostgreSQL."
        return wrong(f"the SQLite database is on a network file system ({kind})", hint)
    return ok(f"the SQLite database is on {kind or 'a local disk'}")


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the mount that contains `path`, or "" if it is unknown."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    kinds = {Path(place.replace("\\040", " ")): kind for _, place, kind, *_ in lines}
    return next((kinds[folder] for folder in (path, *path.parents) if folder in kinds), "")


def clock() -> Finding:
    """Compare this machine's clock with the database's: leases depend on clocks that agree."""
    if connection.vendor != "postgresql":
        return ok("the database uses this machine's clock")
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        skew_s = abs(float(cursor.fetchone()[0]) - (before + time.time()) / 2)
    seen = f"this machine's clock differs from the database's by {skew_s:.1f} s"
    if skew_s > MAX_SKEW_S:
        return wrong(seen, "Synchronise the clocks of both machines (NTP); leases depend on them.")
    return ok(seen)


def _database_name() -> str:
    where = connection.settings_dict
    host = f" on {where['HOST']}:{where['PORT'] or 5432}" if where.get("HOST") else ""
    return f"{connection.vendor} {where['NAME']}{host}"


def _no_database(error: DatabaseError) -> Finding:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    hint = "Start the database, and check the host, name, user and password in DATABASE_URL."
    return wrong(f"{_database_name()} cannot be used: {reason}", hint)


# --- queue --------------------------------------------------------------------------------


def broker() -> Finding:
    try:
        waiting = probes.messages()
    except OperationalError as error:
        hint = (
            "Start the broker (make run does this), or correct REDIS_URL. Uploads are still stored "
            "in the meantime."
        )
        return wrong(f"the broker is not responding: {error}", hint)
    return ok(f"the broker is responding; messages waiting: {waiting}")


def worker() -> Finding:
    try:
        names = next(filter(None, map(probes.workers, PINGS_S)), [])
    except OperationalError:
        return wrong("workers cannot be reached without the broker", "See `broker` above.")
    if not names:
        hint = "Start a worker (make run, or the worker service) and check its log."
        return wrong(f"no worker responded within {sum(PINGS_S):.0f} s", hint)
    return ok(", ".join(names))


def sweep() -> Finding:
    """Check the age of the file that the sweep touches after every pass."""
    hint = "Start the sweep with python -m tasks (make run and Compose do this), and check its log."
    try:
        age_s = time.time() - Path(settings.SWEEP_MARK).stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return wrong("the sweep has never run", hint)
    seen = f"last pass {age_s:.0f} s ago"
    return wrong(seen, hint) if age_s > 3 * settings.SWEEP_EVERY_S + 60 else ok(seen)


def queue() -> Finding:
    """Check for analyses and inspections that have not progressed for too long."""
    patience = timedelta(seconds=2 * settings.LEASE_S + 3 * settings.SWEEP_EVERY_S)
    waiting: list[Analysis | Inspection] = []
    now, abandoned, running = timezone.now(), [], False
    try:
        for job in probes.JOBS:
            if job.objects.expired().filter(leased_until__lt=now - patience).exists():
                abandoned.append(str(job._meta.verbose_name_plural))
            waiting += job.objects.waiting().order_by("created_at")[:1]
            running = running or job.objects.filter(state=State.RUNNING).exists()
    except DatabaseError:
        return wrong(
            "the queue cannot be read from the database", "See `database` and `migrations` above."
        )
    if abandoned:
        seen = f"the leases of some {' and '.join(abandoned)} have expired"
        return wrong(seen, "The sweep returns them to the queue: see `sweep`.")
    if not waiting:
        return ok("nothing is waiting")
    oldest = min(waiting, key=attrgetter("created_at"))
    age = now - oldest.created_at
    seen = f"the oldest waiting {oldest._meta.verbose_name} is {age.total_seconds():.0f} s old"
    if age > patience and not running:
        return wrong(f"{seen} and nothing is running", "See `worker` and `sweep`.")
    return ok(seen)


# --- model --------------------------------------------------------------------------------


def checkpoint() -> Finding:
    """Check that the checkpoints exist and have valid headers; only workers load the weights."""
    there = inventory.look()
    trouble = "; ".join(f"{one.path}: {one.reason}" for one in there.unusable)
    default = next((one for one in there.usable if one.default), None)
    if default is None:
        return wrong(trouble, "Set CHECKPOINT to a checkpoint file from training, or unset it.")
    if trouble:
        return warning(trouble, "Remove the file, replace it, or rename it.")
    more = ", ".join(one.path.name for one in there.usable if not one.default)
    seen = f"{default.path.name}: {len(default.info.classes)} classes"
    return ok(f"{seen}; also installed: {more}" if more else seen)


def inference() -> Finding:
    """Check that the Modal client finds a token. Only a worker learns whether Modal accepts it."""
    if settings.INFERENCE == "local":
        return ok("workers run inference locally")
    named = {"MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"} <= set(os.environ)
    file = Path(os.environ.get("MODAL_CONFIG_PATH") or Path.home() / ".modal.toml")
    if named or file.is_file():
        return ok("workers run inference on Modal")
    hint = (
        "Run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, on every machine that runs "
        "workers."
    )
    return wrong("INFERENCE is modal, but there is no Modal token", hint)


def precision() -> Finding:
    """Check for windows that gave NaN or infinity and were recomputed in fp32."""
    try:
        windows = recomputed_windows()
    except (RedisError, ValueError) as error:
        return warning(f"the count cannot be read: {error}", "See `broker` above.")
    seen = f"{windows} window{pluralize(windows)} recomputed in fp32 in the last {DAYS} days"
    if not windows:
        return ok(seen)
    return warning(
        seen,
        "The results are correct. If there are many, start workers with ONEDNN_MAX_CPU_ISA="
        "AVX512_CORE_BF16, which avoids a bug in PyTorch on processors with AMX.",
    )


# --- addresses ----------------------------------------------------------------------------


def origin() -> Finding:
    address = urlsplit(settings.ORIGIN)
    local = address.hostname in ("localhost", "127.0.0.1", "::1")
    contained = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    seen = f"ORIGIN is {settings.ORIGIN!r}"
    if address.hostname not in settings.ALLOWED_HOSTS:
        return wrong(f"{seen}, but its host is not allowed", "Set ORIGIN, then restart.")
    if address.scheme == "http" and not local:
        hint = "Use a TLS-terminating proxy and set ORIGIN to its https:// address."
        return warning(f"{settings.ORIGIN}: passwords and sounds are sent unencrypted", hint)
    if local and settings.HOST in ("0.0.0.0", "::") and not contained:  # noqa: S104 - looks for it
        hint = "Set ORIGIN to the address that other machines use, or HOST to 127.0.0.1."
        return warning(
            f"the server listens on {settings.HOST}, but accepts requests only for "
            f"{address.hostname}",
            hint,
        )
    return ok(settings.ORIGIN)


def email() -> Finding:
    """Check that the SMTP server can be reached and accepts the password."""
    if not settings.EMAIL_HOST:
        return ok("not set up: administrators create the links to reset passwords")
    seen = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        with get_connection():
            return ok(seen)
    except OSError as error:
        return wrong(
            f"{seen}: {error}", "Correct the settings that begin with EMAIL_, then restart."
        )


RULES: dict[str, Callable[[], Finding]] = {
    "data": data_folder,
    "disk": disk,
    "key": secret_key,
    "origin": origin,
    "email": email,
    "static": static_files,
    "checkpoint": checkpoint,
    "inference": inference,
    "precision": precision,
    "database": database,
    "place": database_place,
    "migrations": migrations,
    "clock": clock,
    "broker": broker,
    "worker": worker,
    "sweep": sweep,
    "queue": queue,
}
