"""Decode clips in a separate process, so that no file can crash a worker.

One thread uses that process, so that the next clips are decoded while the network runs.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from django.conf import settings

from classifier import storage
from classifier.models import Clip
from ml.audio.decode import Limits, Sound
from ml.audio.decoder import Decoder
from ml.errors import AudioError, Problem

FILE_MISSING = Problem("file_missing", "The stored file is missing.", "Upload the sound again.")


def begin(clip: Clip, sample_rate: int) -> Future[Sound]:
    """Begin to decode a clip in the decoder process, after those that were begun before.

    The result raises as `decode`. The future can be cancelled until the clip's turn has come.

    Parameters
    ----------
    sample_rate : rate of the waveform in Hz
    """
    return _thread().submit(_read, clip, sample_rate)


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
    return begin(clip, sample_rate).result()


# The thread lives as long as this process, and the decoder's child ends with the thread, even
# after a crash.
@lru_cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="decoder")


@lru_cache
def _decoder() -> Decoder:
    return Decoder()


def _read(clip: Clip, sample_rate: int) -> Sound:
    limits = Limits(settings.MAX_DURATION_S, settings.MAX_UPLOAD_BYTES)
    try:
        return _decoder().read(storage.clip_path(clip.file_key), sample_rate, limits)
    except FileNotFoundError as error:
        raise AudioError(FILE_MISSING) from error
