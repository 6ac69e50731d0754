"""Strict readers of environment variables: an invalid value stops the start with one sentence.

Each reader returns the value of NAME, or the default if NAME is empty or unset. `meaning` is the
description of the setting in docs/configuration.md; without it the setting is not listed there.
`shown` replaces the default in that document.
"""

import hashlib
import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from ml import recording_names

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
# The path of a Unix socket must fit in sockaddr_un.
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of docs/configuration.md.

    Attributes
    ----------
    from_file : bool
        Whether NAME_FILE may name a file that holds the value.
    """

    name: str
    default: str
    meaning: str
    from_file: bool


# The settings that were read with a meaning, in the order of reading.
KNOWN: dict[str, Setting] = {}


def text(name: str, default: str = "", *, meaning: str = "", shown: str = "") -> str:
    """Return a text."""
    return _note(name, shown or default, meaning) or default


def username(name: str, default: str, *, meaning: str = "") -> str:
    """Return a username that a person can have.

    Raises
    ------
    ImproperlyConfigured
        The value has characters that usernames cannot have.
    """
    value = text(name, default, meaning=meaning)
    try:
        UnicodeUsernameValidator()(value)
    except ValidationError as error:
        raise ImproperlyConfigured(
            f"{name} may have letters, digits and @ . + - _ only, not {value!r}."
        ) from error
    return value


def path(name: str, default: Path, *, meaning: str = "", shown: str = "") -> Path:
    return Path(text(name, str(default), meaning=meaning, shown=shown))


def flag(name: str, default: bool, *, meaning: str = "") -> bool:
    """Return yes or no as a bool.

    Raises
    ------
    ImproperlyConfigured
        The value is neither.
    """
    value = text(name, "yes" if default else "no", meaning=meaning).lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")
    return value in TRUE


def one_of(name: str, allowed: tuple[str, ...], *, meaning: str = "") -> str:
    """Return one of the allowed values; the first is the default.

    Raises
    ------
    ImproperlyConfigured
        The value is not allowed.
    """
    value = text(name, allowed[0], meaning=meaning)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def whole(
    name: str,
    default: int,
    most: int = 10**12,
    *,
    least: int = 1,
    meaning: str = "",
    shown: str = "",
) -> int:
    """Return a whole number from `least` to `most`.

    Raises
    ------
    ImproperlyConfigured
        The value is not such a number.
    """
    value = text(name, str(default), meaning=meaning, shown=shown)
    if not value.isdecimal() or not least <= int(value) <= most:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from {least} to {most}, not {value!r}."
        )
    return int(value)


def name_pattern(name: str, *, meaning: str = "") -> str:
    """Return a pattern of `ml.recording_names`.

    Raises
    ------
    ImproperlyConfigured
        It is not one.
    """
    value = text(name, meaning=meaning)
    if value:
        try:
            recording_names.compiled(value)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} is {value!r}, which is invalid. {error}") from error
    return value


def origin(name: str, default: str, *, meaning: str = "", shown: str = "") -> str:
    """Return the scheme, host and port of a server, such as `https://sounds.example.org`.

    Raises
    ------
    ImproperlyConfigured
        The value has another scheme or none, has a path, or is not a single address.
    """
    value = text(name, default, meaning=meaning, shown=shown)
    if not value.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"{name} must start with http:// or https://, not {value!r}.")
    if value.count("://") > 1 or re.search(r"[\s,;]", value):
        raise ImproperlyConfigured(f"{name} must be a single address, not {value!r}.")
    try:
        parts = urlsplit(value)
        bare = f"{parts.scheme}://{parts.netloc}"
        valid = bool(parts.hostname) and parts.port != 0 and not re.search(r"[@*\\]", parts.netloc)
    except ValueError:  # an invalid port or IPv6 address
        valid = False
    if not valid:
        raise ImproperlyConfigured(
            f"{name} must be a URL such as https://sounds.example.org, not {value!r}."
        )
    if value != bare:
        raise ImproperlyConfigured(
            f"{name} must have no path and no slash at the end: use {bare!r}, not {value!r}. "
            "Sonoscope cannot run under a path; give it a host name of its own."
        )
    return value


def sender(name: str, *, meaning: str = "") -> str:
    """Return an e-mail address, alone or as `Name <address>`.

    Raises
    ------
    ImproperlyConfigured
        The value is not one.
    """
    value = text(name, meaning=meaning)
    if value:
        try:
            validate_email(parseaddr(value)[1])
        except ValidationError as error:
            raise ImproperlyConfigured(
                f"{name} must be an e-mail address such as sounds@example.org, not {value!r}."
            ) from error
    return value


def both_or_neither(**values: str) -> None:
    """Check that two settings, given by name, are both set or both unset.

    Raises
    ------
    ImproperlyConfigured
        Only one is set.
    """
    unset = [name for name, value in values.items() if not value]
    if len(unset) == 1:
        (other,) = set(values) - set(unset)
        raise ImproperlyConfigured(f"{other} is set, but {unset[0]} is not. Set both or neither.")


def confided(name: str, *, meaning: str = "") -> str:
    """Return a text that may be secret, from NAME or from the file that NAME_FILE names.

    Raises
    ------
    ImproperlyConfigured
        Both are set, or the file is empty or cannot be read.
    """
    value = _note(name, "", meaning, from_file=True)
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        value = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read: {reason}.") from error
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE: {path} is empty.")
    return value


def secret(name: str, file: Path, *, may_be_made: bool, meaning: str = "") -> str:
    """Return a secret like `confided`, or the content of `file` if neither variable is set.

    Parameters
    ----------
    file : Path
        Generated with a random secret if it does not exist, readable by its owner only.
    may_be_made : bool
        Whether the file may be generated.

    Raises
    ------
    ImproperlyConfigured
        As `confided` raises it, or the secret is missing and may not be generated.
    """
    if value := confided(name, meaning=meaning):
        return value
    if not may_be_made and not file.exists():
        raise ImproperlyConfigured(
            f"{name} is not set, and it is not generated automatically if ORIGIN starts with "
            f"https://. Set {name}, or set {name}_FILE to a file that contains it. "
            'python3 -c "import secrets; print(secrets.token_urlsafe(50))" prints a new one.'
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        # Written completely, then linked: if two processes start together, both use the same key.
        with tempfile.NamedTemporaryFile("w", dir=file.parent) as made:
            made.write(secrets.token_urlsafe(50))
            made.flush()
            with suppress(FileExistsError):  # another process has created it
                os.link(made.name, file)
    return file.read_text().strip()


def _note(name: str, default: str, meaning: str, from_file: bool = False) -> str:
    """Return the variable's value and record the setting for the documentation."""
    if meaning:
        KNOWN[name] = Setting(name, default, meaning, from_file)
    return os.environ.get(name, "")


def cores() -> int:
    """Return the number of CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def socket_path(data: Path) -> Path:
    """Return the embedded broker's socket path.

    It is in the data folder, or in the temporary folder if that path is too long for a socket.
    """
    inside = data / "run" / "broker.sock"
    if len(str(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sonoscope-{os.getuid()}-{digest}" / "broker.sock"
