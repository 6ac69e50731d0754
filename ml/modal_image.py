"""The container image for Modal. Only the files that the `modal` command runs import it."""

from pathlib import Path

import modal

# Modal's name for the card that others call A10G.
GPU = "A10"
PYTHON = "3.11"
ROOT = Path(__file__).resolve().parent.parent


def image(
    *sources: str, packages: tuple[str, ...] = (), settings: dict[str, str] | None = None
) -> modal.Image:
    """Build an image with requirements.txt, pinned by constraints.txt, and our packages.

    Parameters
    ----------
    sources : str
        Names of our packages. Their Python files are added at each start.
    packages : tuple of str
        Further requirements, pinned likewise.
    settings : dict of str to str
        Environment variables.
    """
    pinned = "-c /constraints.txt"
    built = (
        modal.Image.debian_slim(PYTHON)
        .add_local_file(ROOT / "constraints.txt", "/constraints.txt", copy=True)
        .pip_install_from_requirements(str(ROOT / "requirements.txt"), extra_options=pinned)
    )
    if packages:
        built = built.pip_install(*packages, extra_options=pinned)
    # Last, because Modal allows no build step after files that are added at the start.
    return built.env(settings or {}).add_local_python_source(*sources)
