"""The database is the truth about every job; messages only wake workers."""

from classifier.models.analyses import (
    MAX_ATTEMPTS,
    MAX_UNSEEN,
    UNFINISHED,
    Analysis,
    Lane,
    State,
    Step,
    error_columns,
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
from classifier.models.inspections import Inspection, InspectionKind, InspectionState
from classifier.models.tokens import ApiToken, IdempotencyKey

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_UNSEEN",
    "UNFINISHED",
    "Analysis",
    "ApiToken",
    "Batch",
    "BatchFile",
    "BatchState",
    "Clip",
    "FileOutcome",
    "IdempotencyKey",
    "Inspection",
    "InspectionKind",
    "InspectionState",
    "Lane",
    "State",
    "Step",
    "beside",
    "error_columns",
]
