"""The training clips that excite each channel most, from `NAME.channels.json` beside a checkpoint.

The file has the form {"weights": "0123456789ab", "stages": {"layer4": {"71": [[…], …]}}}: a digest
of the checkpoint's weights, and rows like ["1-100032-A-0.wav", "dog", 1.5]. It is optional.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from classifier.checkpoints import inventory
from ml.checkpoint_info import CHANNELS_SUFFIX, digest

logger = logging.getLogger(__name__)


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

    Empty if the checkpoint is not installed or has no such file. A file that is damaged or belongs
    to other weights is logged and ignored.
    """
    for one in inventory.installed():
        path = one.path.with_name(one.path.stem + CHANNELS_SUFFIX)
        if one.identity == identity and path.is_file():
            return _read(path, path.stat().st_mtime_ns, one.path, identity)
    return {}


@lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, checkpoint: Path, identity: str) -> Examples:
    try:
        content = json.loads(path.read_text())
        if content["weights"] != digest(checkpoint).weights:
            raise ValueError(f"it belongs to other weights than those of {checkpoint.name}")
        return {
            stage: {
                int(number): tuple(Example(*row) for row in rows)
                for number, rows in channels.items()
            }
            for stage, channels in content["stages"].items()
        }
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        logger.error("%s is ignored: %s", path.name, error)
        return {}
