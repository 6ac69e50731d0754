"""Clips and analyses. The rows here are the truth about every job; messages only wake workers."""

from classifier.models.analyses import (
    MOST_ATTEMPTS,
    UNFINISHED,
    Analysis,
    Lane,
    State,
    Step,
)
from classifier.models.batches import (
    Batch,
    BatchFile,
    BatchState,
    FileOutcome,
)
from classifier.models.clips import (
    Clip,
    beside,
)
from classifier.models.requests import (
    ApiToken,
    IdempotencyKey,
)

__all__ = [
    "MOST_ATTEMPTS",
    "UNFINISHED",
    "Analysis",
    "ApiToken",
    "Batch",
    "BatchFile",
    "BatchState",
    "Clip",
    "FileOutcome",
    "IdempotencyKey",
    "Lane",
    "State",
    "Step",
    "beside",
]
