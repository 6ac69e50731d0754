"""Refused requests, and problems that several modules report."""

from django.conf import settings

from ml.errors import Problem

NO_ROOM = Problem(
    "no_room",
    "The server has no disk space left.",
    "Try again later. An administrator must free up disk space.",
)
EMPTY = Problem("empty", "The file is empty.", "Choose a file that contains audio.")
NO_WORKER = Problem(
    "no_worker",
    "No worker is responding, so nothing is being analysed.",
    "Start a worker with make run, or start the worker service. Waiting clips are then analysed.",
)

# The codes of failures that a new analysis of the same file may not repeat: the cause was outside
# the file. With any other code, the file would fail again.
RETRYABLE = frozenset(
    {"checkpoint_missing", "crashed", "decoder_too_slow", "inference_unavailable", "stopped"}
)


class RequestRefused(Exception):
    """A request that was refused; nothing was stored.

    Attributes
    ----------
    problem : Problem
        What is wrong, for the user.
    status : int
        The HTTP status.
    """

    def __init__(self, problem: Problem, status: int = 400) -> None:
        super().__init__(problem)
        self.problem, self.status = problem, status

    @property
    def blames_file(self) -> bool:
        """Whether the file is the reason, not a closed batch, a quota or a full disk.

        If it is not, the file may be accepted later.
        """
        return self.status not in (409, 429, 507)


def refusal(code: str, detail: str, hint: str, status: int = 400) -> RequestRefused:
    return RequestRefused(Problem(code, detail, hint), status)


def too_large(most_bytes: int | None = None) -> RequestRefused:
    """Return the refusal of a file over a limit, by default MAX_UPLOAD_BYTES."""
    return refusal(
        "too_large",
        f"The file is larger than {(most_bytes or settings.MAX_UPLOAD_BYTES) / 1e6:.0f} MB.",
        "Split it into parts, or save it in a compressed format such as FLAC.",
        status=413,
    )
