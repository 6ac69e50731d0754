"""The sample sounds that come with Sonoscope; docs/licences.md says where they are from."""

from pathlib import Path

from django.conf import settings

SAMPLES: Path = settings.BASE_DIR / "webapp" / "samples"
# A recording of an animal, which the shipped checkpoint knows and explains convincingly.
EXAMPLE = "crow"


def sample_names() -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob("*.flac"))


def sample_path(name: str) -> Path:
    return SAMPLES / f"{name}.flac"
