"""Recordings with their events as JSON, for scripts."""

import json
from collections.abc import Iterator
from typing import Any

from classifier.services.exports.recordings import Recording, Recordings


def write(recordings: Recordings) -> Iterator[bytes]:
    yield b'{"recordings": ['
    for number, recording in enumerate(recordings):
        text = json.dumps(_described(recording), ensure_ascii=False)
        yield f'{"," if number else ""}\n{text[:-1]}, "events": ['.encode()
        for place, event in enumerate(recording.events):
            text = json.dumps(event.values(), ensure_ascii=False)
            yield f"{',' if place else ''}\n{text}".encode()
        yield b"\n]}"
    yield b"\n]}\n"


def _described(recording: Recording) -> dict[str, Any]:
    return {
        "file": recording.path,
        "duration_s": recording.duration_s,
        "sample_rate": recording.sample_rate,
        "recorded_at": recording.recorded_at or None,
        "analysis": recording.analysis,
        "checkpoint": recording.checkpoint,
    }
