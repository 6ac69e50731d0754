"""Strict readers of the environment: a wrong value stops the start with one sentence."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
# A Unix socket's path must fit sockaddr_un.
LONGEST_SOCKET_PATH = 100


def text(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


def flag(name: str, default: bool) -> bool:
    value = text(name, "yes" if default else "no").lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")
    return value in TRUE


def whole(name: str, default: int, most: int = 10**12) -> int:
    """A whole number above zero."""
    value = text(name, str(default))
    if not value.isdecimal() or not 0 < int(value) <= most:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from 1 to {most}, not {value!r}."
        )
    return int(value)


def secret(name: str, file: Path) -> str:
    """From the environment, else from `file`, which is made, for its owner only, if missing."""
    if value := text(name):
        return value
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written whole and then linked into place: of two processes that start together, one wins.
    made = file.with_name(f"{file.name}.{os.getpid()}")
    if not file.exists():
        made.touch(mode=0o600)
        made.write_text(secrets.token_urlsafe(50))
        try:
            os.link(made, file)
        except FileExistsError:
            pass  # the other process' key is as good
        finally:
            made.unlink()
    return file.read_text().strip()


def socket_path(data: Path) -> Path:
    """Where the embedded broker listens: in the data folder unless that path is too long."""
    inside = data / "run" / "broker.sock"
    if len(str(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sonoscope-{os.getuid()}-{digest}" / "broker.sock"
