from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests import fixtures


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture(scope="session")
def esc50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in ESC-50's layout (WAV): four folds, a tone and a hiss in each."""
    folder = tmp_path_factory.mktemp("esc50")
    (folder / "meta").mkdir()
    (folder / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in (1, 2, 3, 4):
        tone = fixtures.tone(500 * fold, 5.0, 44_100)
        hiss = fixtures.noise(5.0, 44_100, seed=fold)
        for target, (category, sound) in enumerate({"whistle": tone, "rain": hiss}.items()):
            name = f"{fold}-10{target}-A-{target}.wav"
            (folder / "audio" / name).write_bytes(fixtures.encode(sound, 44_100))
            rows.append(f"{name},{fold},{target},{category},False,10{target},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return folder
