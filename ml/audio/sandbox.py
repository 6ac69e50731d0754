"""Restrict a process before it reads an uploaded file.

On every system: no core dumps, no new files, few descriptors, and limited memory and CPU time per
file. On Linux also: the process exits with its parent, gains no privileges, has no network and
cannot open files by name. Restrictions that a machine does not offer are skipped; `confine` returns
those that are in force.
"""

import ctypes
import errno
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

MAX_DESCRIPTORS = 32

# From the Linux headers. These numbers are a stable interface, the same on every processor for
# which our packages have wheels.
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL = 9
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
# The rights that each version of Landlock can restrict: to files, to TCP ports, and to the signals
# and abstract sockets of other processes.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_RIGHTS, _TCP_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6

# The errors with which kernels and containers refuse a call: forbidden, none left, not built in.
_NOT_OFFERED = (errno.EPERM, errno.ENOSPC, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)

LINUX = sys.platform == "linux"


def leave_network() -> bool:
    """Move the process into an empty network namespace. The process must have one thread.

    Returns
    -------
    bool
        False if the machine does not offer it.
    """
    return LINUX and _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)


def confine(parent_pid: int) -> list[str]:
    """Restrict the process permanently. Import everything first: no file can be opened afterwards.

    On Linux, exit with status 1 if the parent has already ended.

    Parameters
    ----------
    parent_pid : int
        The process to end with.

    Returns
    -------
    list of str
        The Linux restrictions that are in force, in words for the log.
    """
    _limit(resource.RLIMIT_CORE, 0, for_good=True)
    _limit(resource.RLIMIT_FSIZE, 0, for_good=True)
    _limit(resource.RLIMIT_NOFILE, MAX_DESCRIPTORS, for_good=True)
    if not LINUX:
        return []
    # If memory runs out, the kernel should kill this process and not the worker.
    with suppress(OSError):  # missing or read-only in some containers
        Path("/proc/self/oom_score_adj").write_text("1000")
    restrictions = []
    if _call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0):
        restrictions.append("exits with its parent")
    if os.getppid() != parent_pid:  # it ended before the call above
        sys.exit(1)
    if _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        restrictions.append("no new privileges")
        if _close_files():
            restrictions.append("no files")
    return restrictions


def set_limits(memory_bytes: int, cpu_s: int) -> None:
    """Limit address space and CPU time until the next call.

    Parameters
    ----------
    memory_bytes : int
        Largest address space of the process. Linux only.
    cpu_s : int
        CPU time allowed in addition to the time already used.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    _limit(resource.RLIMIT_CPU, until_s)
    if LINUX:  # macOS refuses limits below what its libraries reserve
        _limit(resource.RLIMIT_AS, memory_bytes)


def _limit(which: int, most: int, for_good: bool = False) -> None:
    """Set a resource limit, never above the hard limit that is already set."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most if for_good else hard))


def _close_files() -> bool:
    """Apply Landlock without any rule: open files stay usable, no other can be opened."""
    version = _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version is None:
        return False
    handled = [(1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1]
    if version >= _TCP_SINCE:
        handled.append(_TCP_RIGHTS)
    if version >= _SCOPES_SINCE:
        handled.append(_SCOPES)
    rules = (ctypes.c_uint64 * len(handled))(*handled)
    ruleset = _syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.sizeof(rules), 0)
    if ruleset is None:
        return False
    try:
        return _syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) is not None
    finally:
        os.close(ruleset)


def _call(name: str, *arguments: int) -> bool:
    """Call a C library function. Return whether the system offers it; raise OSError if it fails."""
    return _result(getattr(_libc(), name)(*map(ctypes.c_ulong, arguments))) is not None


def _syscall(number: int, *arguments: object) -> int | None:
    widened = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    return _result(_libc().syscall(ctypes.c_long(number), *widened))


def _result(returned: int) -> int | None:
    if returned >= 0:
        return returned
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return None
    raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
