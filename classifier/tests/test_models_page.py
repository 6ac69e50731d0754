"""The Models page, from the evaluation report of each installed checkpoint."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier.checkpoints import descriptions, evaluation, inventory
from classifier.checkpoints.inventory import Installed
from tests.checkpoints import TESTED, header_only


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def give_report(other: Installed, **changes: Any) -> None:
    """Copy the tested checkpoint's report, as a report of `other`."""
    payload = json.loads(TESTED.with_name("esc50-folds123.evaluation.json").read_text())
    payload |= {"weights": other.weights, **changes}
    other.path.with_name("other.evaluation.json").write_text(json.dumps(payload))
    for kind in evaluation.PICTURES:
        source = TESTED.with_name(f"esc50-folds123.{kind}.png")
        shutil.copy(source, other.path.with_name(f"other.{kind}.png"))


def body(client: Client, address: str) -> bytes:
    return b"".join(client.get(address).streaming_content)  # type: ignore[attr-defined]


def test_the_shipped_checkpoint_has_an_evaluation(visitor: Client) -> None:
    page = visitor.get("/models/")
    found, default = inventory.find("esc50-folds123"), inventory.find("")
    assert found and default
    for said in (
        default.identity, "no accuracy of its own",
        found.identity, found.sha256, "86.2 %", "96.5 %", "2.9 %", "which was not used in training",
        "CC BY-NC 3.0", "learning rate", "0.0015", "70 %", "6 dB", "confused with",
    ):  # fmt: skip
        assertContains(page, said)
    assertContains(page, "Comparison")
    assertContains(page, "clips/s")
    assertContains(page, "Reliability diagram")
    assertNotContains(page, "File header")  # the report contains the same figure
    assertContains(visitor.get("/"), 'href="/models/"')


def test_models_are_named_after_their_data_and_folds(visitor: Client) -> None:
    page = visitor.get("/models/")
    assertContains(page, "ESC-50, all folds <span")
    assertContains(page, ">ESC-50, folds 1–3</h2>")
    own = "Names 86 of 100 unheard clips right (fold 4, trained on folds 1–3)."
    of_a_twin = (
        "There is no held-out figure: it was trained on all folds. The model ESC-50, folds 1–3, "
        "with the same training, names 86 of 100 unheard clips right."
    )
    for sentence in (own, of_a_twin):
        assertContains(page, sentence, count=1)


@pytest.mark.parametrize(
    ("changes", "title", "expected"),
    [
        (
            {"folds_seen": [2], "accuracy": {"fold 5": 0.514}, "data": "My garden (2026)"},
            "My garden, fold 2",
            "Names 51 of 100 unheard clips right (fold 5, trained on fold 2).",
        ),
        (
            {"data": "distilled from mine on My garden, folds 1, 2, 3 (CC0)", "accuracy": {}},
            "My garden, folds 1–3",
            "Not measured on unheard clips yet (trained on folds 1–3).",
        ),
        (
            {
                "folds_seen": [1, 2, 3, 4],
                "accuracy": {},
                "data": "distilled from EfficientAT mn04_as (AudioSet, MIT) on ESC-50 (K. J. "
                "Piczak, 2015), folds 1, 2, 3, 4 (CC BY-NC 3.0)",
            },
            "ESC-50, all folds (other)",
            "There is no held-out figure: it was trained on all folds.",
        ),
        # The fold was used in training, and nothing else was trained in this way.
        (
            {"folds_seen": [1, 3, 4], "accuracy": {"fold 4": 0.99}, "recipe": {"epochs": 3}},
            "ESC-50, folds 1, 3 and 4",
            "Not measured on unheard clips yet (trained on folds 1, 3 and 4).",
        ),
        (
            {"folds_seen": [], "accuracy": {}, "data": "Frogs"},
            "Frogs",
            "Not measured on unheard clips yet.",
        ),
        ({}, "ESC-50, folds 1–3 (other)", "Names 86 of 100 unheard clips right"),
    ],
)
def test_a_name_and_the_expected_accuracy_come_from_the_header(
    other: Installed, changes: dict[str, Any], title: str, expected: str
) -> None:
    header_only(other.path, **changes)
    found = inventory.find("other")
    assert found is not None
    assert descriptions.title_of(found.identity) == title
    assert descriptions.expectation(found).startswith(expected)


def test_a_single_checkpoint_is_not_compared(
    visitor: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.WEIGHTS = tmp_path
    settings.CHECKPOINT = header_only(tmp_path / "alone.safetensors")
    page = visitor.get("/models/")
    assertContains(page, "alone@")
    assertNotContains(page, "Comparison")


def test_the_models_page_requires_signing_in(db: None) -> None:
    for address in ("/models/", "/models/esc50-folds123/confusion.png"):
        assert Client().get(address)["Location"].startswith("/account/sign-in/")


def test_the_shipped_report_matches_the_shipped_weights() -> None:
    """New weights require a new evaluation."""
    found = inventory.find("esc50-folds123")
    assert found is not None
    report = evaluation.report_of(found)
    assert report.evaluation, report.trouble
    (figure,) = found.info.accuracy.values()
    assert report.evaluation.accuracy == pytest.approx(figure, abs=5e-4)
    assert not report.evaluation.seen
    assert set(report.pictures) == set(evaluation.PICTURES)


def test_without_a_report_the_table_and_the_model_say_the_same(
    visitor: Client, other: Installed
) -> None:
    header_only(other.path, accuracy={}, folds_seen=[3], notes=["A second opinion."])
    page = visitor.get("/models/")
    assertContains(page, "Not measured on unheard clips yet (trained on fold 3).", count=2)
    assertNotContains(page, "training.evaluate")
    assertContains(page, "A second opinion.")
    assertContains(page, "Comparison")
    assertNotContains(page, str(other.path.parent))


def test_accuracy_on_training_data_is_marked(visitor: Client, other: Installed) -> None:
    give_report(other, seen=True, fold=2)
    page = visitor.get("/models/")
    assertContains(page, "Evaluated on training data.")
    assertContains(page, "File header")


def test_a_fitted_temperature_is_shown_with_its_effect(visitor: Client, other: Installed) -> None:
    header_only(other.path, temperature=0.68)
    given = inventory.find("other")
    assert given is not None
    before = {"ece": 0.1357, "band": [0.03, 0.06], "log_loss": 1.0, "bins": []}
    crossed = before | {"ece": 0.0702}
    give_report(
        given,
        temperature=0.68,
        calibration_uncorrected=before,
        calibration_crossed=crossed,
        speed={"clips_per_s": 61.2, "device": "cpu", "precision": "fp32", "threads": 2},
        measured_at="2026-11-22T15:00:00+00:00",
    )
    page = visitor.get("/models/")
    for said in ("13.6 %", "7.0 %", "temperature of 0.68", "cpu, fp32, 2 threads", "22 November"):
        assertContains(page, said)
    sure = {"low": 0.8, "high": 0.9, "clips": 8, "confidence": 0.9, "accuracy": 0.5}
    none = {"low": 0.9, "high": 1.0, "clips": 0, "confidence": None, "accuracy": None}
    after = before | {"ece": 0.4, "bins": [sure, none]}
    give_report(given, temperature=0.68, calibration=after, measured_at="2026-11-22T15:00+00:00")
    assertContains(visitor.get("/models/"), "overconfident: ")
    mixed = after | {"bins": [sure, sure | {"confidence": 0.5, "accuracy": 0.8}]}
    give_report(given, temperature=0.68, calibration=mixed)
    assertContains(
        visitor.get("/models/"), "overconfident for some clips, underconfident for others"
    )
    give_report(given, temperature=0.68, calibration=after | {"ece": 0.05}, measured_at=None)
    assertContains(visitor.get("/models/"), "confidence matches accuracy")
    report = evaluation.report_of(given).evaluation
    assert report and not report.measured_at
    give_report(given, temperature=0.68, measured_at="2026-11-22T15:00:00+00:00")
    report = evaluation.report_of(given).evaluation
    assert report and report.measured_at == datetime(2026, 11, 22, 15, tzinfo=UTC)


def test_settings_of_a_teacher_are_shown_only_with_one(visitor: Client, other: Installed) -> None:
    recipe = {
        "teacher_epochs": 3,
        "label_weight": 0.5,
        "teacher_weight": 1.0,
        "feature_weight": 0.4,
    }
    header_only(other.path, recipe={**recipe, "teacher": "", "init": ""})
    page = visitor.get("/models/")
    for said in ("teacher epochs", "label weight", "teacher weight", "feature weight"):
        assertNotContains(page, said)
    header_only(other.path, recipe={**recipe, "teacher": "ab" * 32, "init": "cd" * 32})
    page = visitor.get("/models/")
    for said in ("teacher epochs", "label weight", "teacher weight", "feature weight"):
        assertContains(page, said)
    assertContains(page, "SHA-256 abababababab…")
    assertContains(page, "SHA-256 cdcdcdcdcdcd…")


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"weights": "0" * 12}, evaluation.OTHER_WEIGHTS),
        ({"temperature": 2.0}, evaluation.OTHER_WEIGHTS),
        ({"format": 99}, evaluation.OTHER_FORMAT),
        ({"calibration": None}, evaluation.DAMAGED),
        ({"accuracy_range": [0.5]}, evaluation.DAMAGED),
        ({"by_class": "none"}, evaluation.DAMAGED),
    ],
)
def test_an_invalid_report_is_not_shown(
    visitor: Client, other: Installed, changes: dict[str, Any], trouble: str
) -> None:
    give_report(other, **changes)
    assert evaluation.report_of(other).evaluation is None
    assertContains(visitor.get("/models/"), trouble)
    other.path.with_name("other.evaluation.json").write_text("[1, 2")
    assertContains(visitor.get("/models/"), evaluation.DAMAGED)


def test_only_the_diagrams_are_served(visitor: Client, other: Installed) -> None:
    give_report(other)
    for name in ("other", "esc50-folds123"):
        for kind in evaluation.PICTURES:
            address = f"/models/{name}/{kind}.png"
            answer = visitor.get(address)
            assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
            assert "private" in answer["Cache-Control"] and "max-age" in answer["Cache-Control"]
            assert (
                body(visitor, address)
                == TESTED.with_name(f"esc50-folds123.{kind}.png").read_bytes()
            )
            again = visitor.get(address, headers={"If-None-Match": answer["ETag"]})
            assert again.status_code == 304
    Path(other.path.with_name("other.secret.png")).write_bytes(b"no")
    for address in (
        "/models/other/secret.png",
        "/models/other/safetensors.png",
        "/models/nothing/confusion.png",
        "/models/..%2Fother/confusion.png",
        "/models/other/confusion.png/",
    ):
        assert visitor.get(address).status_code == 404, address


def test_the_page_shows_a_new_diagram_at_once(visitor: Client, other: Installed) -> None:
    give_report(other)
    shown = evaluation.report_of(other).pictures["confusion"].version
    assertContains(visitor.get("/models/"), f"/models/other/confusion.png?v={shown}")
    other.path.with_name("other.confusion.png").write_bytes(b"\x89PNG")
    assertNotContains(visitor.get("/models/"), shown)
