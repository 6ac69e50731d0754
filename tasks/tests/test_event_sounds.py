"""The sounds of events are cut from the right place, with a margin."""

import io
import zipfile

import numpy as np
import soundfile

from classifier.models import Event
from ml.audio.waveform import PART_SAMPLES
from tasks.event_sounds import write
from tests import fixtures

RATE_HZ = 8_000


def event(label: str, start_s: float, end_s: float) -> Event:
    return Event(label=label, start_s=start_s, end_s=end_s, confidence=0.9, peak_s=start_s)


def test_each_event_is_a_flac_with_a_second_before_and_after_it() -> None:
    waveform = fixtures.chirp(100, 3_000, 10.0, RATE_HZ)
    events = [event("dog", 0.5, 1.0), event("door/knock", 4.0, 5.5), event("rain", 9.0, 10.0)]
    file = io.BytesIO()
    write(file, waveform, RATE_HZ, events)
    with zipfile.ZipFile(file) as archive:
        sounds = {name: archive.read(name) for name in archive.namelist()}
    places = {
        "0001_0.500-1.000_dog.flac": (0.0, 2.0),
        "0002_4.000-5.500_door_knock.flac": (3.0, 6.5),
        "0003_9.000-10.000_rain.flac": (8.0, 10.0),
    }
    assert sounds.keys() == places.keys()
    for name, (start_s, end_s) in places.items():
        samples, rate = soundfile.read(io.BytesIO(sounds[name]), dtype="float32")
        assert rate == RATE_HZ
        expected = waveform[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        assert len(samples) == len(expected)
        assert np.abs(samples - expected).max() < 1e-4


def test_no_events_are_an_empty_zip() -> None:
    file = io.BytesIO()
    write(file, fixtures.silence(1.0, RATE_HZ), RATE_HZ, [])
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == []


class LongSilence:
    """A waveform that does not let more be read at once than fits in memory."""

    def __len__(self) -> int:
        return 3 * PART_SAMPLES

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(len(self))
        assert stop - start <= PART_SAMPLES
        return np.zeros(stop - start, np.float32)


def test_a_long_event_is_read_in_parts() -> None:
    file = io.BytesIO()
    end_s = 3 * PART_SAMPLES / RATE_HZ
    write(file, LongSilence(), RATE_HZ, [event("rain", 0, end_s)])
    with zipfile.ZipFile(file) as archive:
        (name,) = archive.namelist()
        assert soundfile.info(io.BytesIO(archive.read(name))).frames == 3 * PART_SAMPLES
