"""The database holds the state of every job; messages only wake workers."""

from classifier.models.analyses import Analysis, Lane, Step
from classifier.models.batches import Batch, BatchFile, BatchMail, BatchState, FileOutcome
from classifier.models.clips import (
    MAX_FOLDER_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    VISITORS,
    Clip,
    Owner,
    beside,
)
from classifier.models.events import Event
from classifier.models.inspections import EXPLANATIONS, Inspection, InspectionKind
from classifier.models.judgements import Judged, Judgement, judged, judgement_of
from classifier.models.leasing import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_WORKER_LOST,
    UNFINISHED,
    LeasedJob,
    State,
)
from classifier.models.saved_filters import SavedFilter
from classifier.models.sharing import ShareLink
from classifier.models.tags import MAX_TAG_CHARACTERS, MAX_TAGS, Tag, tag_words
from classifier.models.tokens import ApiToken, IdempotencyKey

LEASED_MODELS: tuple[type[LeasedJob], ...] = (Analysis, Inspection)
