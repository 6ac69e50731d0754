"""Reproduce the accuracy on the model card from the command line, over every clip of the fold."""

import json
import subprocess
import sys

import pytest

from ml import checkpoint_info
from tests.server import ROOT
from training.config import esc50_dir
from training.data.index import read_index


@pytest.mark.proof
def test_the_accuracy_on_the_model_card_is_reproduced() -> None:
    folder = esc50_dir()
    if folder is None:
        pytest.skip("ESC-50 was not found: set ESC50_DIR to a folder with meta/esc50.csv")
    info = checkpoint_info.read_info(checkpoint_info.TESTED)
    assert 4 not in info.folds_seen
    labels = {str(e.path): e.label for e in read_index(folder) if e.fold == 4}
    done = subprocess.run(
        [sys.executable, "-m", "ml", "--json", "--checkpoint", checkpoint_info.TESTED, *labels],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(labels) == 400
    right = sum(a["predictions"][0]["class"] == labels[a["file"]] for a in answers)
    # Another processor rounds differently, so a clip or two may get another class.
    assert right / 400 == pytest.approx(info.accuracy["fold 4"], abs=0.0051)
    card = (checkpoint_info.TESTED.parent / "README.md").read_text()
    assert f"{info.accuracy['fold 4'] * 100:.2f} %" in card
