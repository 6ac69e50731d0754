"""Clips, analyses, studies. The rows are the truth about every job; messages only wake workers."""

from classifier.models.analyses import (
    MOST_ATTEMPTS,
    MOST_UNSEEN,
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
from classifier.models.inspections import Study, StudyKind, StudyState
from classifier.models.tokens import ApiToken, IdempotencyKey

__all__ = [
    "MOST_ATTEMPTS",
    "MOST_UNSEEN",
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
    "Study",
    "StudyKind",
    "StudyState",
    "beside",
]
