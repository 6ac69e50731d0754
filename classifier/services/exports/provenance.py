"""Where the events of an export come from, as RO-Crate 1.1 metadata.

Written without the package rocrate: it is one JSON file, and this way it is streamed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils import timezone

from classifier.checkpoints import inventory
from classifier.services.exports.recordings import Recording, Recordings
from ml import events

NAME = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
SOFTWARE = "#sonoscope"
ML = Path(events.__file__).parent


def write(recordings: Recordings, title: str, files: Sequence[str]) -> Iterator[bytes]:
    """Yield the metadata of an export.

    Parameters
    ----------
    files : sequence of str
        Names of the tables in the export, and of their folders, which end with `/`.
    """
    yield f'{{"@context": "{CONTEXT}", "@graph": ['.encode()
    for number, entity in enumerate(_entities(recordings, title, files)):
        text = json.dumps(entity, ensure_ascii=False)
        yield f"{',' if number else ''}\n{text}".encode()
    yield b"\n]}\n"


def _entities(recordings: Recordings, title: str, files: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield {
        "@id": NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": title,
        "description": "Events in recordings, found by Sonoscope.",
        "datePublished": timezone.now().isoformat(timespec="seconds"),
        "hasPart": [{"@id": name} for name in files],
    }
    for name in files:
        yield {"@id": name, "@type": "Dataset" if name.endswith("/") else "File", "name": name}
    yield {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "Sonoscope",
        "softwareVersion": code_version(),
        "description": "The version that wrote this export: the SHA-256 of the source of ml.",
    }
    checkpoints: set[str] = set()
    for number, recording in enumerate(recordings, start=1):
        if recording.checkpoint not in checkpoints:
            checkpoints.add(recording.checkpoint)
            yield _checkpoint(recording.checkpoint)
        yield from _analysis(number, recording)


def _checkpoint(identity: str) -> dict[str, Any]:
    """Describe a checkpoint; of one that is no longer installed only the start of its digest."""
    found = next((one for one in inventory.installed() if one.identity == identity), None)
    entity: dict[str, Any] = {
        "@id": f"#checkpoint-{identity}",
        "@type": "SoftwareApplication",
        "name": identity,
    }
    if found is None:
        return entity
    settings = asdict(events.read_settings(found.path, found.info.classes, found.weights))
    return entity | {
        "sha256": found.sha256,
        "description": f"Trained on {found.info.data}, licence {found.info.data_licence}.",
        "additionalProperty": [
            {"@type": "PropertyValue", "name": name, "value": value}
            for name, value in settings.items()
        ],
    }


def _analysis(number: int, recording: Recording) -> Iterator[dict[str, Any]]:
    sound = f"#recording-{number}"
    yield {
        "@id": f"#analysis-{number}",
        "@type": "CreateAction",
        "identifier": recording.analysis,
        "instrument": [{"@id": SOFTWARE}, {"@id": f"#checkpoint-{recording.checkpoint}"}],
        "object": {"@id": sound},
    }
    yield {
        "@id": sound,
        "@type": "AudioObject",
        "name": recording.path,
        "sha256": recording.sha256,
        "duration": f"PT{recording.duration_s:.3f}S",
    } | ({"startTime": recording.recorded_at} if recording.recorded_at else {})


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the SHA-256 of all modules of `ml`, without its tests, in the order of their paths."""
    whole = hashlib.sha256()
    for path in sorted(ML.rglob("*.py")):
        if "tests" not in path.parts:
            whole.update(path.read_bytes())
    return whole.hexdigest()
