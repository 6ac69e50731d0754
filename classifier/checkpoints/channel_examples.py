"""The training clips that excite each channel most, from `NAME.channels.json` beside a checkpoint.

The file has the form {"layer4": {"71": [["1-100032-A-0.wav", "dog", 1.5], …]}}. It is optional.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from classifier.checkpoints import inventory


@dataclass(frozen=True, slots=True)
class Example:
    """A place in a training clip.

    Attributes
    ----------
    file : str
        Name of the clip.
    second : float
        Where the channel is strongest, in seconds from the start.
    """

    file: str
    label: str
    second: float


Examples = Mapping[str, Mapping[int, tuple[Example, ...]]]


def of(identity: str) -> Examples:
    """Return the examples of a checkpoint by stage and number of the channel.

    Empty if the checkpoint is not installed or has no such file.
    """
    for one in inventory.installed():
        path = one.path.with_suffix(".channels.json")
        if one.identity == identity and path.is_file():
            return _read(path, path.stat().st_mtime_ns)
    return {}


@lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int) -> Examples:
    stages = json.loads(path.read_text())
    return {
        stage: {
            int(number): tuple(Example(*row) for row in rows) for number, rows in channels.items()
        }
        for stage, channels in stages.items()
    }
