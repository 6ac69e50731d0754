"""Inspections, from the request to the files, with a real broker, worker and database."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile
import torch
from django.conf import settings
from PIL import Image

from ml import checkpoint_info
from ml.audio.decode import read
from ml.explain.masking import Masking, mask_of
from ml.explain.verdict import judge
from ml.inference import Classifier
from ml.rendering.png import to_index
from tests import fixtures
from tests.checkpoints import shipped_copy
from tests.server import Person, Server, wait_for

# A chirp over noise: 12 s, so four windows.
LONG = fixtures.encode(
    fixtures.chirp(300, 6000, 12.0, 44_100) + fixtures.noise(12.0, 44_100, level=0.02),
    44_100,
    "FLAC",
)
SHORT = fixtures.encode(fixtures.clicks(4.0, 2.0))
SECOND_START_S = 2.5
SAMPLES = settings.BASE_DIR / "webapp" / "samples"


@pytest.fixture(scope="module")
def analysed(anna: Person) -> dict[str, Any]:
    return anna.wait(anna.submit("long.flac", LONG, again=True))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(checkpoint_info.default_path())


@pytest.fixture(scope="module")
def second_window(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("long") / "long.flac"
    path.write_bytes(LONG)
    features = classifier.info.features
    start = round(SECOND_START_S * features.sample_rate)
    waveform = read(path, features.sample_rate).waveform
    return waveform[start : start + features.window_samples]


def ask(person: Person, analysis: dict[str, Any], **question: Any) -> requests.Response:
    return requests.post(
        f"{person.server.url}/api/v1/analyses/{analysis['id']}/inspections/",
        headers=person.headers,
        json=question,
        timeout=30,
    )


def explain(person: Person, analysis: dict[str, Any], **question: Any) -> dict[str, Any]:
    """Request an inspection and wait until it is done."""
    response = ask(person, analysis, **question)
    assert response.status_code == 202, response.text
    payload = person.wait(response.headers["Location"])
    assert payload["state"] == "done", payload["error"]
    return payload


def folders_of(server: Server, inspection: dict[str, Any]) -> list[Path]:
    return list((server.data / "media" / "inspections").glob(f"*/{inspection['id']}-*"))


def sounds_of(person: Person, inspection: dict[str, Any]) -> tuple[list[Any], int]:
    """Return kept and rest without the gain of their playback, and the sample rate."""
    sounds = []
    for part in ("kept", "rest"):
        response = person.get(inspection["files"][f"{part}.flac"])
        assert response.headers["Content-Type"] == "audio/flac"
        samples, rate = soundfile.read(io.BytesIO(response.content), dtype="float32")
        assert samples.ndim == 1
        assert soundfile.info(io.BytesIO(response.content)).subtype == "PCM_16"
        sounds.append(samples / inspection["figures"][f"{part}_gain"])
    return sounds, rate


def test_a_sound_is_split_into_the_marked_part_and_the_rest(
    anna: Person, analysed: dict, classifier: Classifier, second_window: Any
) -> None:
    label = analysed["predictions"][0]["class"]
    inspection = explain(anna, analysed, kind="explanation", window=1, label=label)
    figures = inspection["figures"]
    assert figures["start_s"] == SECOND_START_S
    (kept, rest), rate = sounds_of(anna, inspection)
    assert rate == classifier.info.features.sample_rate
    assert len(kept) == len(rest) == len(second_window)
    # Rounding errors of two files with 16 bits, at their gain.
    rounding = (1 / figures["kept_gain"] + 1 / figures["rest_gain"]) / 2**15
    assert np.abs(kept + rest - second_window).max() <= rounding
    asked = classifier.info.classes.index(label)
    expected = classifier.explain(second_window, asked)
    masks = mask_of(torch.from_numpy(expected.attribution)[None], expected.method)
    parts = Masking(classifier.log_mel).split(torch.from_numpy(second_window)[None], masks)
    exact = [parts.kept[0].numpy(), parts.rest[0].numpy()]
    for wanted, sound in zip(exact, (kept, rest), strict=True):
        assert np.abs(wanted - sound).max() <= rounding + 1e-3
    # From the exact sounds, because rounding to 16 bits adds noise to the silent cells.
    answers = classifier.predict([second_window, *exact])
    for name, answer in zip(("original", "kept", "rest"), answers, strict=True):
        assert figures[name] == pytest.approx(float(answer.probabilities[asked]), abs=0.02), name
    shares = (figures["original"], figures["kept"], figures["rest"])
    assert figures["verdict"] == judge(*shares)
    part = anna.get(inspection["files"]["kept.flac"], Range="bytes=0-3")
    assert (part.status_code, part.content) == (206, b"fLaC")


def test_the_parts_of_a_short_sound_have_its_length(anna: Person) -> None:
    short = anna.wait(anna.submit("short.wav", SHORT, again=True))
    label = short["predictions"][0]["class"]
    inspection = explain(anna, short, kind="explanation", label=label)
    (kept, rest), rate = sounds_of(anna, inspection)
    assert len(kept) == len(rest) == 2 * rate


@pytest.mark.parametrize("name", ["layer2", "layer1.block0.conv"])
def test_all_channels_of_a_map_equal_the_models(
    anna: Person, analysed: dict, classifier: Classifier, second_window: Any, name: str
) -> None:
    inspection = explain(anna, analysed, kind="channels", window=1, map=name)
    figures, files = inspection["figures"], inspection["files"]
    answer = classifier.info.classes.index(analysed["predictions"][0]["class"])
    expected = classifier.channels(second_window, name, answer)
    values = np.load(io.BytesIO(anna.get(files["channels.npy"]).content), allow_pickle=False)
    assert (values.dtype, list(values.shape)) == (np.float32, figures["shape"])
    span = float(expected.values.max() - expected.values.min())
    np.testing.assert_allclose(values, expected.values, atol=span / 100)
    mean = np.load(io.BytesIO(anna.get(files["mean.npy"]).content), allow_pickle=False)
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-5)

    numbers = [channel["number"] for channel in figures["channels"]]
    assert sorted(numbers) == list(range(len(values)))
    if name == "layer2":
        contributions = [channel["contribution"] for channel in figures["channels"]]
        assert contributions == sorted(contributions, reverse=True)
        assert figures["ordered_by"] == "contribution"
    else:
        assert numbers == sorted(numbers)
    sheet = np.asarray(Image.open(io.BytesIO(anna.get(files["sheet.png"]).content)))
    _, height, width = figures["shape"]
    for place, channel in enumerate(figures["channels"]):
        top, left = place // figures["columns"] * height, place % figures["columns"] * width
        tile = np.flipud(sheet[top : top + height, left : left + width]) / 255
        low, high = channel["low"], channel["high"]
        decoded = low + tile * (high - low)
        off = np.abs(decoded - values[channel["number"]]).max()
        assert off <= (high - low) / 255 + 1e-4, channel


def test_another_window_of_a_long_clip_is_drawn(
    anna: Person, analysed: dict, classifier: Classifier, second_window: Any
) -> None:
    inspection = explain(anna, analysed, kind="window", window=1)
    figures = inspection["figures"]
    (result,) = classifier.classify([second_window])
    best = classifier.predictions(result.probabilities)[0]
    assert figures["logits"][0]["label"] == best.label
    assert figures["logits"][0]["confidence"] == pytest.approx(best.confidence, abs=0.02)
    for facts in figures["maps"]:
        png = anna.get(inspection["files"][f"maps/{facts['name']}.png"])
        assert png.headers["Content-Type"] == "image/png"
        drawn = np.flipud(np.asarray(Image.open(io.BytesIO(png.content))))
        mean = result.activations.maps[facts["name"]]
        expected = to_index(mean, float(mean.min()), float(mean.max()))
        assert np.abs(drawn.astype(int) - expected).max() <= 3, facts["name"]
    pooled = anna.get(inspection["files"]["maps/pooled.png"])
    assert (pooled.status_code, pooled.content[:4]) == (200, b"\x89PNG")
    pack = zipfile.ZipFile(io.BytesIO(anna.get(inspection["files"]["maps.zip"]).content))
    named = {f"maps/{name}" for name in pack.namelist()} - {"maps/index.json"}
    assert named == set(inspection["files"]) - {"maps.zip"}


def test_a_class_is_explained_as_by_the_model(
    anna: Person, analysed: dict, classifier: Classifier, second_window: Any
) -> None:
    label = analysed["predictions"][2]["class"]
    inspection = explain(anna, analysed, kind="explanation", window=1, label=label)
    figures, files = inspection["figures"], inspection["files"]
    expected = classifier.explain(second_window, classifier.info.classes.index(label))
    assert figures["start_s"] == SECOND_START_S
    assert figures["method"] == expected.method
    assert figures["logit"] == pytest.approx(expected.logit, abs=0.3)
    picture = Image.open(io.BytesIO(anna.get(files["maps/attribution.png"]).content))
    assert [picture.height, picture.width] == figures["shape"]
    opacity = np.flipud(np.asarray(picture.convert("RGBA"))[:, :, 3]) / 255
    mask = mask_of(torch.from_numpy(expected.attribution)[None], expected.method)[0].numpy()
    # bf16 turns some ReLUs on or off, so that single cells differ.
    assert np.abs(opacity - mask).mean() < 0.05
    assert set(figures["strongest"]) == {"conv1", "layer1", "layer2", "layer3", "layer4"}
    for stage, channels in figures["strongest"].items():
        contributions = [channel["contribution"] for channel in channels]
        assert len(channels) == 8
        assert contributions == sorted(contributions, reverse=True)
        picture = Image.open(io.BytesIO(anna.get(files[f"maps/{stage}.top7.png"]).content))
        assert (picture.height, picture.width) == expected.strongest[stage][7].values.shape
    strongest = {one["number"] for one in figures["strongest"]["layer4"]}
    assert len(strongest & {one.number for one in expected.strongest["layer4"]}) >= 6
    pack = zipfile.ZipFile(io.BytesIO(anna.get(files["explanation.zip"]).content))
    named = {f"maps/{name}" for name in pack.namelist()} - {"maps/index.json"}
    assert named == set(files) - {"explanation.zip", "kept.flac", "rest.flac"}
    for name in ("attribution", "layer4.top0"):
        missing = anna.get(f"/media/analyses/{analysed['id']}/maps/{name}.png")
        assert missing.status_code == 404, "an analysis itself has no explanation"


def test_a_refined_explanation_is_made_on_request(
    anna: Person, analysed: dict, classifier: Classifier, second_window: Any
) -> None:
    label = analysed["predictions"][0]["class"]
    inspection = explain(anna, analysed, kind="refined", window=1, label=label)
    figures = inspection["figures"]
    assert figures["method"] == "refined"
    verdict = judge(figures["original"], figures["kept"], figures["rest"])
    assert figures["verdict"] == verdict
    (kept, rest), _ = sounds_of(anna, inspection)
    rounding = (1 / figures["kept_gain"] + 1 / figures["rest_gain"]) / 2**15
    assert np.abs(kept + rest - second_window).max() <= rounding


def test_a_new_mask_decoder_is_used_without_a_restart(server: Server, anna: Person) -> None:
    path = shipped_copy(server.data / "checkpoints" / "bare.safetensors", temperature=2.0)
    decoder = checkpoint_info.decoder_path(path)
    try:
        analysis = anna.wait(anna.submit("short.wav", SHORT, again=True, checkpoint="bare"))
        question = {"kind": "explanation", "label": analysis["label"]}
        before = explain(anna, analysis, **question)
        assert ask(anna, analysis, **question).status_code == 200
        shutil.copy(checkpoint_info.decoder_path(checkpoint_info.SHIPPED), decoder)
        after = explain(anna, analysis, **question)
    finally:
        path.unlink()
        decoder.unlink(missing_ok=True)
    assert (before["figures"]["method"], before["figures"]["decoder"]) == ("gradient", "")
    assert (after["figures"]["method"], after["id"]) == ("mask_decoder", before["id"])
    assert after["figures"]["kept"] != before["figures"]["kept"]


def test_two_equal_requests_create_one_row_and_one_set_of_files(
    server: Server, anna: Person, analysed: dict
) -> None:
    inspection = explain(anna, analysed, kind="window", window=2)
    (folder,) = folders_of(server, inspection)
    again = ask(anna, analysed, kind="window", window=2)
    assert (again.status_code, again.json()) == (200, inspection)
    page = anna.post_page(f"/analyses/{analysed['id']}/inspections/", kind="window", window="2")
    assert (page.status_code, f'data-inspection="{inspection["id"]}"' in page.text) == (200, True)
    assert folders_of(server, inspection) == [folder]


def test_a_failed_analysis_cannot_be_inspected(anna: Person) -> None:
    failed = anna.wait(anna.submit("notes.wav", b"Monday: buy milk\n" * 50, again=True))
    response = ask(anna, failed, kind="window")
    assert (response.status_code, response.json()["code"]) == (409, "not_done")


def test_another_user_gets_404(anna: Person, ben: Person, analysed: dict) -> None:
    inspection = explain(anna, analysed, kind="window", window=3)
    assert ask(ben, analysed, kind="window", window=3).status_code == 404
    addresses = [f"/api/v1/inspections/{inspection['id']}/", *inspection["files"].values()]
    assert {ben.get(address).status_code for address in addresses} == {404}
    assert ben.page(f"/inspections/{inspection['id']}/part/").status_code == 404
    response = ben.post_page(f"/analyses/{analysed['id']}/inspections/", kind="window", window="3")
    assert response.status_code == 404


def test_an_inspection_fails_with_a_reason_if_its_checkpoint_is_missing(
    server: Server, anna: Person
) -> None:
    path = shipped_copy(server.data / "checkpoints" / "passing.safetensors", temperature=2.0)
    try:
        analysed = anna.wait(anna.submit("x.wav", SHORT, checkpoint="passing"))
    finally:
        path.unlink()
    response = ask(anna, analysed, kind="window")
    inspection = anna.wait(response.headers["Location"])
    assert (inspection["state"], inspection["error"]["code"]) == ("failed", "checkpoint_missing")
    assert "passing@" in inspection["error"]["detail"]


def test_a_killed_worker_and_an_emptied_broker_lose_no_inspection(server: Server) -> None:
    person = server.person()
    analysed = person.wait(person.submit("long.flac", LONG))
    with server.paused("worker"):
        asked = [
            ask(person, analysed, kind="channels", window=window, map=name).headers["Location"]
            for name in ("layer4.block0.conv", "layer4.block0.relu")
            for window in range(4)
        ]
        server.broker().flushdb()

    def states() -> list[str]:
        return [person.get(address).json()["state"] for address in asked]

    wait_for(lambda: "running" in states(), 60, "a claim", every_s=0.02)
    server.kill("worker")
    assert {"queued", "running"} & set(states())
    server.start("worker")
    for address in asked:
        inspection = person.wait(address, limit_s=120)
        assert inspection["state"] == "done", inspection["error"]
        # Files of a killed worker are orphans until the sweep, but the row names one folder.
        assert person.get(inspection["files"]["channels.npy"]).content[:6] == b"\x93NUMPY"


def test_deleting_the_clip_removes_its_inspections_and_their_files(
    server: Server, anna: Person
) -> None:
    short = anna.wait(anna.submit("short.wav", SHORT, again=True))
    inspection = explain(anna, short, kind="channels", map="conv1")
    assert len(folders_of(server, inspection)) == 1
    anna.post_page(f"/clips/{short['clip']}/delete/")
    assert folders_of(server, inspection) == []
    assert anna.get(f"/api/v1/inspections/{inspection['id']}/").status_code == 404
    assert anna.get(inspection["files"]["sheet.png"]).status_code == 404


def test_the_zip_of_events_has_the_sound_of_each(anna: Person) -> None:
    path = SAMPLES / "siren.flac"
    analysis = anna.wait(anna.submit("siren.flac", path.read_bytes(), again=True))
    events = anna.get(analysis["events"]).json()["results"]
    assert len(events) == analysis["event_count"] > 0
    address = f"{analysis['events']}?format=zip"
    response = anna.get(address)
    assert response.status_code == 202, response.text
    sounds = anna.wait(response.headers["Location"])
    assert sounds["figures"]["sounds"] == len(events), sounds["error"]
    with zipfile.ZipFile(io.BytesIO(anna.get(address).content)) as archive:
        assert archive.testzip() is None
        names = [name for name in archive.namelist() if name.startswith("sounds/siren.flac/")]
        cut = [soundfile.read(io.BytesIO(archive.read(name)), dtype="float32") for name in names]
    whole, rate = soundfile.read(path, dtype="float32")
    for event, (samples, cut_rate) in zip(events, cut, strict=True):
        assert cut_rate == rate
        start = max(0, round((event["start_s"] - 1) * rate))
        expected = whole[start : round((event["end_s"] + 1) * rate)]
        assert len(samples) == len(expected)
        assert np.abs(samples - expected).max() < 1e-3
