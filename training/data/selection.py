"""Select the sounds without labels that a training may use."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ml.audio.decode import read
from ml.errors import AudioError
from training.data.index import DataError, Example
from training.data.recordings import RATE_HZ, Fingerprint, Index, fingerprint

# A sound whose peak is lower is silent: -60 dB of full scale.
SILENT_PEAK = 1e-3
# With fewer different hashes, a sound would often not be recognised.
MIN_HASHES = 100


class Reason(StrEnum):
    """Why a sound is left out."""

    UNDECODABLE = "cannot be decoded"
    SILENT = "silent"
    PLAIN = "too short or too plain to be compared"
    KNOWN = "from the same recording as a clip of ESC-50"
    DUPLICATE = "from the same recording as an earlier file"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sound that is left out.

    Attributes
    ----------
    detail : what is wrong with the file, or the other file; may be ""
    """

    path: Path
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The sounds that may be used, in their order, and the others.

    Attributes
    ----------
    duration_s : of all accepted sounds together
    """

    accepted: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What is known of a file after decoding: its fingerprint, or why it is left out."""

    path: Path
    duration_s: float
    fingerprint: Fingerprint | None
    problem: LeftOut | None


def select(files: Sequence[Path], known: Sequence[Example]) -> Selection:
    """Decode the files, and leave out those that a training cannot or must not use.

    Parameters
    ----------
    known : sounds with labels; no accepted sound shares a recording with one of them

    Raises
    ------
    DataError
        A sound of `known` cannot be decoded.
    """
    # The pool's threads share the cores; PyTorch's own threads would only wait for each other.
    torch.set_num_threads(1)
    with ThreadPoolExecutor() as pool:
        labelled = pool.map(_known, [example.path for example in known])
        fingerprints = list(tqdm(labelled, "ESC-50", len(known), unit="clip", disable=None))
        decoded = list(tqdm(pool.map(_decode, files), "sounds", len(files), disable=None))
    left_out = [one.problem for one in decoded if one.problem]
    usable = [one for one in decoded if not one.problem]
    if not usable:
        return Selection((), tuple(left_out), 0.0)
    index = Index([*fingerprints, *(one.fingerprint for one in usable if one.fingerprint)])
    paths = [*(example.path for example in known), *(one.path for one in usable)]
    accepted = []
    for number, one in enumerate(usable, len(known)):
        assert one.fingerprint
        earlier = [match.sound for match in index.matches(one.fingerprint) if match.sound < number]
        if not earlier:
            accepted.append(one)
            continue
        # A training clip counts more than another file, however similar that one is.
        other = next((sound for sound in earlier if sound < len(known)), earlier[0])
        reason = Reason.KNOWN if other < len(known) else Reason.DUPLICATE
        left_out.append(LeftOut(one.path, reason, str(paths[other])))
    return Selection(
        tuple(one.path for one in accepted),
        tuple(left_out),
        sum(one.duration_s for one in accepted),
    )


def _known(path: Path) -> Fingerprint:
    try:
        return fingerprint(read(path, RATE_HZ).waveform)
    except (AudioError, OSError) as error:
        raise DataError(f"{path}: {error}") from error


def _decode(path: Path) -> _Decoded:
    try:
        sound = read(path, RATE_HZ)
    except (AudioError, OSError) as error:
        return _Decoded(path, 0.0, None, LeftOut(path, Reason.UNDECODABLE, str(error)))
    found = fingerprint(sound.waveform)
    problem = None
    if np.abs(sound.waveform).max() < SILENT_PEAK:
        problem = LeftOut(path, Reason.SILENT, "")
    elif len(np.unique(found.hashes)) < MIN_HASHES:
        problem = LeftOut(path, Reason.PLAIN, "")
    return _Decoded(path, sound.duration_s, found, problem)
