"""How a worker reads a clip: in a process beside its own, so that no file can take it down."""

from functools import lru_cache

from django.conf import settings

from classifier import storage
from classifier.models import Clip
from ml.audio.decode import Limits, Sound
from ml.audio.decoder import Decoder
from ml.errors import AudioError, Problem

FILE_MISSING = Problem("file_missing", "The stored file is gone.", "Upload the sound once more.")


@lru_cache
def decoder() -> Decoder:
    """This process' own. Its child ends when this process does, however that happens."""
    return Decoder()


def decode(clip: Clip, sample_rate: int) -> Sound:
    """Raises AudioError, also for a file that is gone."""
    limits = Limits(settings.MAX_DURATION_S, settings.MAX_UPLOAD_BYTES)
    try:
        return decoder().read(storage.clip_path(clip.file_key), sample_rate, limits)
    except FileNotFoundError as error:
        raise AudioError(FILE_MISSING) from error
