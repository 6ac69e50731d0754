"""Tests of the TensorBoard logs of a run that was killed and resumed."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import train

ARGUMENTS = ["--smoke", "--set", "batch=9", "--folds", "1", "--validation-fold", "2"]
ARGUMENTS += ["--test-fold", "4"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> EventAccumulator:
    """A run of three epochs that was killed after writing part of the third, and resumed."""
    out = tmp_path_factory.mktemp("runs") / "watched"
    dies_after(out, 2)
    train.main([*ARGUMENTS, "--out", str(out)])
    return read(out)


def dies_after(out: Path, epochs: int) -> None:
    """Run until the process is killed before it saves the state of an epoch."""
    kept = train._keep_state

    def keep(run, work) -> None:
        if run.epoch > epochs:
            raise KeyboardInterrupt
        kept(run, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_keep_state", keep)
        with pytest.raises(KeyboardInterrupt):
            train.main([*ARGUMENTS, "--out", str(out)])


def read(out: Path) -> EventAccumulator:
    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    return events


def steps(events: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in events.Scalars(tag)]


def test_the_curves_continue_without_duplicate_steps(seen: EventAccumulator) -> None:
    for tag in ("Loss/Train", "Learning_Rate", "Loss/Validation", "Accuracy/Validation"):
        assert steps(seen, tag) == [1, 2, 3], tag
    assert steps(seen, "Validation by class/rain") == [1, 2, 3]


def test_the_test_fold_is_measured_once_and_described(seen: EventAccumulator) -> None:
    assert steps(seen, "Accuracy/Test") == [3]
    (note,) = seen.Tensors("Read me/text_summary")
    text = note.tensor_proto.string_val[0].decode()
    assert "fold 4" in text
    assert "evaluated after the last epoch and does not influence" in text


def test_spectrograms_and_sounds_are_logged(seen: EventAccumulator) -> None:
    tags = seen.Tags()
    assert {"Validation/Confusion", "Test/Confusion", "Seen in training/1"} <= set(tags["images"])
    shown = seen.Images("Seen in training/1")[0]
    assert (shown.height, shown.width) == (64, 16)
    mistakes = [tag for tag in tags["audio"] if tag.startswith("Test mistakes/")]
    assert mistakes
    sound = seen.Audio(mistakes[0])[0]
    assert sound.sample_rate == 16_000
    assert sound.length_frames == 16_000


def test_the_settings_are_logged_with_the_final_figures(seen: EventAccumulator) -> None:
    assert steps(seen, "hparam/fold 4") == [4]
