"""Decode clips in a separate process, so that no file can crash a worker.

One thread uses that process, so that the next clips are decoded while the network runs.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from django.conf import settings

from classifier import storage
from classifier.models import Analysis, Clip
from classifier.services.problems import NO_ROOM
from ml.audio.decode import Limits, Sound
from ml.audio.decoder import Decoder
from ml.audio.waveform import Waveform
from ml.errors import AudioError, Problem

FILE_MISSING = Problem("file_missing", "The stored file is missing.", "Upload the sound again.")


Decoded = tuple[Analysis, Sound[Waveform] | AudioError]


def begin(
    waiting: deque[Analysis], sample_rate: int, clips: int, duration_s: float
) -> Future[list[Decoded]]:
    """Begin to decode the clips of the first analyses in `waiting`, which are removed from it.

    Emptying `waiting` stops this after the current clip. The result raises as `decode`, but holds
    each AudioError.

    Parameters
    ----------
    sample_rate : rate of the waveforms in Hz
    clips : the most to decode
    duration_s : stop after the clip with which all together are this long
    """
    return _thread().submit(_decode_first, waiting, sample_rate, clips, duration_s)


def decode(clip: Clip, sample_rate: int) -> Sound[Waveform]:
    """Decode a clip in the decoder process. The waveform of a long one is on disk.

    Parameters
    ----------
    sample_rate : rate of the returned waveform in Hz

    Raises
    ------
    AudioError
        The file cannot be decoded, exceeds the limits, or is missing; or the disk is full.
    """
    return _thread().submit(_read, clip, sample_rate).result()


# The thread lives as long as this process, and the decoder's child ends with the thread, even
# after a crash.
@lru_cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="decoder")


@lru_cache
def _decoder() -> Decoder:
    return Decoder()


def _decode_first(
    waiting: deque[Analysis], sample_rate: int, clips: int, duration_s: float
) -> list[Decoded]:
    decoded: list[Decoded] = []
    while len(decoded) < clips and duration_s > 0:
        try:
            row = waiting.popleft()
        except IndexError:  # no more clips, or another thread emptied it
            break
        try:
            sound = _read(row.clip, sample_rate)
        except AudioError as error:
            decoded.append((row, error))
        else:
            decoded.append((row, sound))
            duration_s -= sound.duration_s
    return decoded


def _read(clip: Clip, sample_rate: int) -> Sound[Waveform]:
    longest_s = settings.VISITOR_MAX_DURATION_S if clip.of_visitor else settings.MAX_DURATION_S
    limits = Limits(longest_s, settings.MAX_UPLOAD_BYTES)
    try:
        # Not in the folder for temporary files, which is often in memory.
        folder = storage.incoming_folder()
        return _decoder().read(storage.clip_path(clip.file_key), sample_rate, limits, folder)
    except FileNotFoundError as error:
        raise AudioError(FILE_MISSING) from error
    except OSError as error:
        if storage.is_full(error):
            raise AudioError(NO_ROOM) from error
        raise
