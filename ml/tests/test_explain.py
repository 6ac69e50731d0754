import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.explain.attribution import CELL_FRAMES, CELL_MELS, LAYER4_STEP, attribution
from ml.features import LogMel
from ml.model import AudioCNN, ModelOutput
from ml.tests.conftest import SHORT
from tests import fixtures

SILENCE = -2.0
MELS, FRAMES = 128, 160


def output_at(place: tuple[int, int], picture: Tensor) -> ModelOutput:
    """Return the output of a network whose first class depends on one place of layer4 only.

    The second class is the opposite of it.
    """
    picture = picture.clone().requires_grad_()
    last = F.avg_pool2d((picture - SILENCE).clamp_min(0), LAYER4_STEP)
    contributions = last[:, 0, place[0], place[1]]
    return ModelOutput(
        torch.stack([contributions, -contributions], 1),
        last.mean((2, 3)),
        {"layer4": last},
        picture,
    )


def test_attribution_is_highest_where_the_class_was_decided() -> None:
    picture = torch.rand(3, 1, MELS, FRAMES, generator=torch.Generator().manual_seed(1))
    found = attribution(output_at((1, 2), picture), SILENCE, torch.zeros(3, 1, dtype=torch.long))
    assert found.shape == (3, 1, MELS // CELL_MELS, -(-FRAMES // CELL_FRAMES))
    assert found.min() >= 0
    assert found.amax((1, 2, 3)).tolist() == pytest.approx([1.0] * 3)
    bands = slice(32 // CELL_MELS, 64 // CELL_MELS)
    frames = slice(64 // CELL_FRAMES, 96 // CELL_FRAMES + 1)
    assert found[:, :, bands, frames].sum() == pytest.approx(float(found.sum()))


def test_evidence_against_a_class_gives_no_attribution() -> None:
    output = output_at((1, 2), torch.rand(1, 1, MELS, FRAMES))
    for_it, against = attribution(output, SILENCE, torch.tensor([[0, 1]]))[0]
    assert for_it.max() == 1
    assert against.max() == 0


def test_silence_gets_no_attribution() -> None:
    picture = torch.rand(1, 1, MELS, FRAMES)
    picture[..., 80:] = SILENCE
    (found,) = attribution(output_at((1, 2), picture), SILENCE, torch.tensor([[0]]))[0]
    assert found.max() == 1
    assert found[:, 81 // CELL_FRAMES :].max() == 0


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (3, 4)])
def test_a_place_of_the_last_stage_covers_its_part_of_the_picture(
    place: tuple[int, int],
) -> None:
    picture = torch.zeros(1, 1, MELS, FRAMES, requires_grad=True)
    places = torch.zeros(1, 1, MELS // LAYER4_STEP, FRAMES // LAYER4_STEP)
    places[0, 0, place[0], place[1]] = 1
    last = places + 0 * picture.mean()
    logits = (last.sum((1, 2, 3)) + picture.sum((1, 2, 3)))[:, None]
    output = ModelOutput(logits, last.mean((2, 3)), {"layer4": last}, picture)
    (found,) = attribution(output, SILENCE, torch.tensor([[0]]))[0]
    row, column = divmod(int(found.argmax()), found.shape[1])
    band = (row + 0.5) * MELS / found.shape[0] - 0.5
    frame = (column + 0.5) * FRAMES / found.shape[1] - 0.5
    assert abs(band - place[0] * LAYER4_STEP) <= CELL_MELS / 2
    assert abs(frame - place[1] * LAYER4_STEP) <= CELL_FRAMES / 2


def test_a_whole_network_gives_no_attribution_to_digital_silence(network: AudioCNN) -> None:
    sound = torch.from_numpy(fixtures.noise(0.5))
    sound[len(sound) // 2 :] = 0
    picture = LogMel(SHORT)(sound[None]).requires_grad_()
    output = network(picture)
    classes = output.logits.topk(3).indices
    (found,) = attribution(output, SHORT.silence, classes)
    after = picture.shape[-1] // 2 + 2  # the frame across the end still contains some
    assert found.max() == 1
    assert found[:, :, -(-after // CELL_FRAMES) :].max() < 0.01
