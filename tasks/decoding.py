"""Decode clips in a separate process, so that no file can crash a worker."""

from functools import lru_cache

from django.conf import settings

from classifier import storage
from classifier.models import Clip
from ml.audio.decode import Limits, Sound
from ml.audio.decoder import Decoder
from ml.errors import AudioError, Problem

FILE_MISSING = Problem("file_missing", "The stored file is missing.", "Upload the sound again.")


@lru_cache
def decoder() -> Decoder:
    """Return this process's decoder. Its child ends with this process, even after a crash."""
    return Decoder()


def decode(clip: Clip, sample_rate: int) -> Sound:
    """Decode a clip in the decoder process.

    Parameters
    ----------
    sample_rate : rate of the returned waveform in Hz

    Raises
    ------
    AudioError
        The file cannot be decoded, exceeds the limits, or is missing.
    """
    limits = Limits(settings.MAX_DURATION_S, settings.MAX_UPLOAD_BYTES)
    try:
        return decoder().read(storage.clip_path(clip.file_key), sample_rate, limits)
    except FileNotFoundError as error:
        raise AudioError(FILE_MISSING) from error
