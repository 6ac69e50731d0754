"""Mutated files give a sound or an AudioError, never a crash."""

from collections import Counter

import numpy as np
import pytest

from ml.errors import AudioError
from ml.tests.conftest import Decode
from tests import fixtures

MUTATIONS = 60
CODES = {"not_audio", "unsupported", "damaged", "empty", "too_short", "too_long"}


def mutate(data: bytes, draw: np.random.Generator) -> bytes:
    """Apply a mutation: wrong bytes near the header or anywhere, a truncation, a hole or noise."""
    mutant = bytearray(data)
    kind = draw.integers(4)
    if kind < 2:
        reach = min(len(mutant), 400) if kind == 0 else len(mutant)
        for place in draw.integers(0, reach, draw.integers(1, 20)):
            mutant[place] = draw.integers(256)
        return bytes(mutant)
    place = int(draw.integers(4, len(mutant)))
    if kind == 2:
        return data[:place]
    size = int(draw.integers(1, 400))
    return data[:place] + (draw.bytes(size) if draw.random() < 0.5 else b"") + data[place + size :]


@pytest.mark.parametrize("form", fixtures.FORMATS)
def test_any_damage_gives_a_sound_or_a_problem(decode: Decode, form: str) -> None:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    data = fixtures.encode(fixtures.tone(1000, 0.6, rate_hz), rate_hz, form)
    seen: Counter[str] = Counter()
    for seed in range(MUTATIONS):
        try:
            sound = decode(mutate(data, np.random.default_rng(seed)))
        except AudioError as error:
            assert error.problem.code in CODES
            assert error.problem.detail
            assert error.problem.hint
            seen[error.problem.code] += 1
        else:
            assert np.isfinite(sound.waveform).all()
            seen["notice" if sound.notices else "sound"] += 1
    # The mutations have an effect.
    assert seen["sound"] < MUTATIONS
