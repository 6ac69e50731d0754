"""What a training run is made of. Frozen: a run's settings travel in its checkpoint."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """See training/LOG.md for what each number was tried against."""

    epochs: int = 80
    batch: int = 32
    learning_rate: float = 1.5e-3
    warm_up: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    ema: float = 0.995
    crop_s: float = 0.0
    crop_share: float = 0.0
    gain_db: float = 6.0
    speed: float = 0.0
    mixup_share: float = 0.5
    mixup_beta: float = 0.3
    between_class: bool = False
    colour_db: float = 0.0
    frequency_mask: int = 24
    time_mask: int = 40
    masks: int = 2
    seed: int = 1


def esc50_dir() -> Path | None:
    """The ESC-50 folder: `ESC50_DIR`, else the one beside the checkout, else none."""
    named = os.environ.get("ESC50_DIR")
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "esc50"
    return beside if (beside / "meta" / "esc50.csv").is_file() else None
