import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ml import checkpoint
from ml.checkpoint_info import CheckpointError, CheckpointInfo, decoder_path, digest
from ml.explain import decoder_file
from ml.explain.decoder_file import DecoderInfo
from ml.explain.mask_decoder import MaskDecoder, enlarged, own_maps
from ml.explain.masking import Masking, audible, mask_of
from ml.explain.objective import log_probabilities
from ml.explain.refine import refined
from ml.explain.results import GRADIENT, MASK_DECODER, REFINED, SHOWN_CHANNELS
from ml.features import LogMel
from ml.inference import Classifier
from ml.model import AudioCNN, ModelOutput
from ml.tests.conftest import CLASSES, SHORT
from tests import fixtures


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    torch.manual_seed(5)
    decoder = MaskDecoder(len(CLASSES)).eval().requires_grad_(False)
    for weight in decoder.by_class.parameters():
        weight.mul_(10)  # as trained: a new decoder hardly tells classes apart
    return decoder


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return fixtures.chirp(300, 6000, SHORT.window_s) + 0.1 * fixtures.noise(SHORT.window_s)


@pytest.fixture(scope="module")
def output(network: AudioCNN, sound: np.ndarray) -> ModelOutput:
    other = fixtures.noise(SHORT.window_s)
    with torch.no_grad():
        return network(LogMel(SHORT)(torch.from_numpy(np.stack([sound, other]))))


@pytest.fixture
def saved(tmp_path: Path, network: AudioCNN, info: CheckpointInfo) -> Path:
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, network.state_dict(), info)
    return path


def save_beside(path: Path, decoder: MaskDecoder, weights: str | None = None) -> None:
    header = DecoderInfo("small", weights or digest(path).weights, len(CLASSES), (1, 2, 3))
    decoder_file.save(decoder_path(path), decoder.state_dict(), header)


def masks(decoder: MaskDecoder, output: ModelOutput, network: AudioCNN, *classes: int) -> Tensor:
    asked = torch.tensor([classes] * len(output.logits))
    return decoder(output, network.fc, asked).sigmoid()


def test_one_pass_serves_all_classes(
    decoder: MaskDecoder, output: ModelOutput, network: AudioCNN
) -> None:
    together = masks(decoder, output, network, 0, 1, 2)
    mels, frames = output.picture.shape[-2:]
    assert together.shape == (2, 3, -(-mels // 2), -(-frames // 2))
    assert 0 < together.min() < together.max() < 1
    for number in range(3):
        alone = masks(decoder, output, network, number)
        assert torch.allclose(together[:, number], alone[:, 0], atol=1e-5)
    assert (together[:, 0] - together[:, 1]).abs().max() > 0.01, "each class has its own mask"


def test_a_mask_depends_on_the_weights_of_the_network(
    decoder: MaskDecoder, output: ModelOutput, network: AudioCNN
) -> None:
    torch.manual_seed(11)
    other = AudioCNN(len(CLASSES)).eval().requires_grad_(False)
    before = masks(decoder, output, network, 1).flatten()
    after = masks(decoder, other(output.picture), other, 1).flatten()
    assert (before - after).abs().max() > 0.01


def test_own_maps_show_where_the_class_is() -> None:
    head = nn.Linear(512, 3).requires_grad_(False)
    head.weight.copy_(torch.eye(3, 512))
    head.bias.zero_()
    last = torch.zeros(1, 512, 4, 10)
    last[0, 0, 1, 2] = 20.0
    last[0, 2, 3, 8] = 10.0
    share, logit, likely, *_ = own_maps(last, head, torch.tensor([[0]]))[0, 0]
    assert share[1, 2] == 1
    assert share.sum() == 1
    assert logit[1, 2] == pytest.approx(2.0)
    assert likely[1, 2] > 0.99
    assert likely[3, 8] < 0.01, "another class is there"


def test_enlarged_features_stay_in_their_place() -> None:
    values = torch.rand(1, 2, 4, 10)
    large = enlarged(values, (8, 20))
    assert large.shape == (1, 2, 8, 20)
    assert torch.allclose(large[:, :, ::2, ::2], values)


def test_a_classifier_explains_with_the_decoder_beside_its_checkpoint(
    saved: Path, decoder: MaskDecoder, sound: np.ndarray, output: ModelOutput, network: AudioCNN
) -> None:
    save_beside(saved, decoder)
    classifier = Classifier.load(saved, precision=torch.float32)
    found = classifier.explain(sound, 1)
    expected = masks(decoder, output, network, 1)[0, 0]
    assert found.method == MASK_DECODER
    assert found.attribution == pytest.approx(expected.numpy(), abs=0.02)
    assert found.logit == pytest.approx(float(output.logits[0, 1]), abs=0.05)
    assert all(len(channels) == SHOWN_CHANNELS for channels in found.strongest.values())


def test_without_a_decoder_gradients_explain(
    saved: Path, sound: np.ndarray, output: ModelOutput
) -> None:
    found = Classifier.load(saved).explain(sound, int(output.logits[0].argmax()))
    assert found.method == GRADIENT
    assert found.attribution.max() == 1


def test_a_decoder_of_other_weights_explains_nothing(saved: Path, decoder: MaskDecoder) -> None:
    save_beside(saved, decoder, weights="0" * 12)
    classifier = Classifier.load(saved)
    window = np.zeros(classifier.info.features.window_samples, np.float32)
    assert classifier.classify([window]), "a prediction does not need it"
    for explain in (classifier.explain, classifier.refine):
        with pytest.raises(CheckpointError, match="belongs to other weights"):
            explain(window, 0)


def test_a_decoder_still_fits_after_a_change_of_the_header(
    saved: Path, decoder: MaskDecoder, network: AudioCNN, info: CheckpointInfo
) -> None:
    save_beside(saved, decoder)
    checkpoint.save(saved, network.state_dict(), dataclasses.replace(info, temperature=2.0))
    assert Classifier.load(saved).decoder is not None


@pytest.mark.parametrize("damage", [b"", b"no decoder at all", None])
def test_a_damaged_decoder_explains_nothing(saved: Path, damage: bytes | None) -> None:
    content = saved.read_bytes() if damage is None else damage
    decoder_path(saved).write_bytes(content)
    classifier = Classifier.load(saved)
    with pytest.raises(CheckpointError, match="mask decoder"):
        classifier.explain(np.zeros(classifier.info.features.window_samples, np.float32), 0)


def test_masks_are_applied_as_they_are_and_gradients_by_their_order() -> None:
    attribution = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mask_of(attribution, MASK_DECODER), attribution)
    assert torch.equal(mask_of(attribution, REFINED), attribution)
    assert torch.equal(mask_of(attribution, GRADIENT), audible(attribution))


def test_refining_separates_the_parts_better(network: AudioCNN, sound: np.ndarray) -> None:
    log_mel, window = LogMel(SHORT), torch.from_numpy(sound)
    masking, asked = Masking(log_mel), torch.tensor([1])

    def separation(mask: Tensor) -> float:
        split = masking.split(window[None], mask[None])
        part, rest = (network(log_mel(one)).logits for one in (split.kept, split.rest))
        return float(log_probabilities(part, asked)[0] + log_probabilities(rest, asked)[1])

    first = torch.full((64, 16), 0.5)
    mask = refined(network, log_mel, window, first, 1, temperature=1.0, steps=6)
    assert mask.shape == first.shape
    assert 0 <= mask.min() < mask.max() <= 1
    assert separation(mask) > separation(first)


def test_a_classifier_refines_with_and_without_a_decoder(
    saved: Path, decoder: MaskDecoder, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.explain.refine.refined.__defaults__", (2,))
    assert Classifier.load(saved).refine(sound, 1).method == REFINED
    save_beside(saved, decoder)
    found = Classifier.load(saved).refine(sound[: len(sound) // 2], 1)
    assert found.method == REFINED
    assert found.attribution.shape == (64, 16)


def test_log_probabilities_are_exact_where_a_class_is_certain() -> None:
    logits = torch.tensor([[80.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    mine, others = log_probabilities(logits, torch.tensor([0, 2]))
    assert mine[0] == pytest.approx(0, abs=1e-6)
    assert others[0] == pytest.approx(-80 + np.log(2), rel=1e-5)
    likely = logits[1].softmax(0)[2]
    assert mine[1] == pytest.approx(float(likely.log()), rel=1e-5)
    assert others[1] == pytest.approx(float((1 - likely).log()), rel=1e-5)
