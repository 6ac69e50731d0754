"""Inference through Modal's call interface, with the real `InferenceService` behind it."""

import dataclasses
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ml import checkpoint_info
from ml.inference import Classifier
from tasks import remote
from tasks.modal_app import InferenceService
from tasks.remote import RemoteClassifier, RemoteError
from tests import fixtures

CLIPS = [fixtures.chirp(duration_s=1.0), fixtures.noise(12.0), fixtures.tone(duration_s=5.0)]
Call = Callable[[str, list[bytes]], Any]


class Deployed:
    """The part of a class from `modal.Cls.from_name` that is used."""

    def __init__(self, call: Call) -> None:
        self.predict = SimpleNamespace(remote=call)

    def hydrate(self) -> None:
        pass

    def __call__(self) -> "Deployed":
        return self


@pytest.fixture
def answered_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Call], RemoteClassifier]:
    """Return a function that makes a RemoteClassifier whose calls go to the given function."""

    def make(call: Call) -> RemoteClassifier:
        found = {("sonoscope-inference", "InferenceService"): Deployed(call)}
        modal = SimpleNamespace(Cls=SimpleNamespace(from_name=lambda *names: found[names]))
        monkeypatch.setitem(sys.modules, "modal", modal)
        return RemoteClassifier(checkpoint_info.SHIPPED)

    return make


@pytest.fixture(scope="module")
def service() -> Call:
    predict: Call = InferenceService().predict.local
    return predict


@pytest.fixture
def freed() -> Iterator[threading.Event]:
    """An event that is set after the test, to release hanging calls."""
    event = threading.Event()
    yield event
    event.set()


def test_it_gives_the_same_results_as_local_inference(
    answered_by: Callable[[Call], RemoteClassifier], service: Call
) -> None:
    there = answered_by(service)
    here = Classifier.load(checkpoint_info.SHIPPED)
    assert there.identity == here.identity
    for one, other in zip(there.classify(CLIPS), here.classify(CLIPS), strict=True):
        assert one.window_starts_s == other.window_starts_s
        assert one.shown_window == other.shown_window
        assert list(one.activations.maps) == list(other.activations.maps)
        for name in one.activations.maps:
            mine, theirs = one.activations.maps[name], other.activations.maps[name]
            np.testing.assert_allclose(mine, theirs, atol=0.02)
        for field in ("probabilities", "window_probabilities"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), atol=0.1)
        for field in ("pooled", "logits"):
            mine, theirs = getattr(one.activations, field), getattr(other.activations, field)
            np.testing.assert_allclose(mine, theirs, atol=0.1)
        assert there.predictions(one.probabilities)[0].label == (
            here.predictions(other.probabilities)[0].label
        )
    np.testing.assert_array_equal(there.spectrogram(CLIPS[0]), here.spectrogram(CLIPS[0]))


def test_it_never_loads_the_weights(
    answered_by: Callable[[Call], RemoteClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("weights are loaded")

    monkeypatch.setattr("ml.inference.load_model", refuse)
    monkeypatch.setattr("ml.checkpoint.load_file", refuse)
    there = answered_by(lambda identity, waveforms: [])
    assert there.info.classes
    assert there.classify([]) == []


def test_a_different_deployed_checkpoint_is_an_error(
    answered_by: Callable[[Call], RemoteClassifier], service: Call
) -> None:
    there = answered_by(service)
    there.identity = "other@0123456789ab"
    with pytest.raises(RemoteError, match="other@0123456789ab was requested") as caught:
        there.classify(CLIPS[:1])
    assert "esc50-folds1234@" in str(caught.value)
    assert "Deploy again" in str(caught.value)


def test_any_exception_of_the_call_is_a_remote_error(
    answered_by: Callable[[Call], RemoteClassifier],
) -> None:
    for fault in (ConnectionResetError, TimeoutError, LookupError):

        def broken(identity: str, waveforms: list[bytes], fault: type[Exception] = fault) -> Any:
            raise fault("the connection is lost")

        with pytest.raises(RemoteError, match=f"{fault.__name__}: the connection is lost"):
            answered_by(broken).classify(CLIPS[:1])


def test_a_hanging_call_times_out(
    answered_by: Callable[[Call], RemoteClassifier],
    freed: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "CALL_LIMIT_S", 0.05)
    there = answered_by(lambda identity, waveforms: freed.wait())
    with pytest.raises(RemoteError, match="did not respond"):
        there.classify(CLIPS[:1])


def test_long_clips_are_sent_in_parts_and_short_ones_together(
    answered_by: Callable[[Call], RemoteClassifier], service: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CALL_SAMPLES", 11 * 32_000)
    sent: list[list[int]] = []

    def counted(identity: str, waveforms: list[bytes]) -> Any:
        sent.append([len(one) // 4 // 32_000 for one in waveforms])
        return service(identity, waveforms)

    clips = [CLIPS[0], CLIPS[2], CLIPS[1], CLIPS[0]]
    results = answered_by(counted).classify(clips)
    assert sent == [[1, 5], [10], [5], [5], [1]], "three windows, the last one, the shown one"
    assert [len(result.window_starts_s) for result in results] == [1, 1, 4, 1]
    (whole,) = Classifier.load(checkpoint_info.SHIPPED).classify([CLIPS[1]])
    assert results[2].window_starts_s == whole.window_starts_s
    assert results[2].shown_window == whole.shown_window
    for field in ("probabilities", "window_probabilities", "embedding"):
        mine, theirs = getattr(results[2], field), getattr(whole, field)
        np.testing.assert_allclose(mine, theirs, atol=0.1)
    for name, values in whole.activations.maps.items():
        np.testing.assert_allclose(results[2].activations.maps[name], values, atol=0.02)


def test_every_field_of_a_result_is_serialised() -> None:
    """A field added to Result or Activations must be added to ml/serialization.py as well."""
    from ml import serialization
    from ml.explain.results import Activations
    from ml.predictions import Result

    result = Classifier.load(checkpoint_info.SHIPPED).classify(CLIPS[:1])[0]
    plain = serialization.result_to_plain(result)
    fields = (*dataclasses.fields(Result), *dataclasses.fields(Activations))
    assert set(plain) == {field.name for field in fields} - {"activations"}
    assert len(pickle.dumps(plain)) < 350_000
    back = serialization.result_from_plain(plain)
    assert back.activations.maps.keys() == result.activations.maps.keys()
    np.testing.assert_array_equal(
        back.activations.maps["layer2"], result.activations.maps["layer2"]
    )
    assert back.window_starts_s == result.window_starts_s
