"""Analyses whose sound is probably none of the classes, on pages, in the API and in exports."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier.checkpoints import evaluation, inventory
from classifier.checkpoints.inventory import Installed
from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome
from classifier.services.exports import batch_files
from classifier.tests.conftest import Caller, done
from ml.checkpoint_info import EmbeddingStatistics, Rejection
from ml.evaluation import Bin
from tests.bulk_data import METADATA
from tests.checkpoints import header_only

REJECTION = Rejection(
    score="class_distance",
    threshold=-900.0,
    statistics=EmbeddingStatistics("", "", (), 1.0),
    fold=4,
    right_flagged=0.04,
    wrong_flagged=0.3,
    outside_flagged={"speech": 0.5, "hum": 0.8},
    auroc={"speech": 0.8, "hum": 0.91},
)


@pytest.fixture
def cautious(settings: Settings, tmp_path: Path) -> Installed:
    """An installed checkpoint, called `cautious`, that can be not sure."""
    settings.CHECKPOINTS = tmp_path / "checkpoints"
    header_only(settings.CHECKPOINTS / "cautious.safetensors", rejection=asdict(REJECTION))
    found = inventory.find("cautious")
    assert found is not None
    return found


@pytest.fixture
def unsure(anna: User, cautious: Installed) -> Analysis:
    analysis = done(anna, "rain", 0.31)
    analysis.second_label, analysis.not_sure = "crackling_fire", True
    analysis.checkpoint = cautious.identity
    analysis.save()
    return analysis


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def test_the_result_page_names_both_classes_and_says_what_it_means(
    visitor: Client, unsure: Analysis
) -> None:
    page = visitor.get(f"/analyses/{unsure.pk}/")
    assertContains(page, "<h1>Not sure: rain or crackling fire?</h1>")
    assertContains(page, "<title>Not sure: rain or crackling fire?")
    assertContains(page, "probably none of its classes")
    # The mean over both kinds of sounds.
    assertContains(page, "65 % of the sounds outside the classes")
    assertContains(page, "4 % of the correct predictions")


def test_the_result_page_does_not_say_how_often_such_a_confidence_was_correct(
    visitor: Client, unsure: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    similar = Bin(low=0.3, high=0.4, clips=12, confidence=0.35, accuracy=0.83)
    monkeypatch.setattr(evaluation, "meaning", lambda *_: similar)
    unsure.render_metadata = METADATA.to_json()
    for not_sure, check in ((False, assertContains), (True, assertNotContains)):
        unsure.not_sure = not_sure
        unsure.save()
        check(visitor.get(f"/analyses/{unsure.pk}/"), "predictions with a similar confidence")


def test_the_rates_are_left_out_when_the_checkpoint_is_no_longer_installed(
    visitor: Client, unsure: Analysis
) -> None:
    Analysis.objects.update(checkpoint="gone@0123456789ab")
    page = visitor.get(f"/analyses/{unsure.pk}/")
    assertContains(page, "<h1>Not sure: rain or crackling fire?</h1>")
    assertNotContains(page, "In the evaluation, this was said")


def test_a_sure_result_shows_the_class_alone(visitor: Client, anna: User) -> None:
    page = visitor.get(f"/analyses/{done(anna, 'rain').pk}/")
    assertContains(page, '<h1>Rain</h1> <p class="number">90.0 %</p>')
    assertNotContains(page, "ot sure")


def test_a_class_with_less_than_half_of_the_confidence_is_called_a_guess(
    visitor: Client, anna: User
) -> None:
    page = visitor.get(f"/analyses/{done(anna, 'crackling_fire', 0.286).pk}/")
    assertContains(page, '<h1>Perhaps crackling fire</h1> <p class="number">28.6 %</p>')
    assertContains(page, "<title>Perhaps crackling fire · ")
    assertContains(visitor.get("/history/"), "<strong>Perhaps crackling fire</strong>")


def test_the_history_shows_both_classes_without_a_confidence(
    visitor: Client, unsure: Analysis
) -> None:
    page = visitor.get("/history/")
    assertContains(page, "<strong>Not sure: rain or crackling fire?</strong>")
    assertNotContains(page, "31.0 %")


def test_silence_is_called_silence(visitor: Client, unsure: Analysis) -> None:
    Clip.objects.update(notices=["silent"])
    Analysis.objects.update(render_metadata=METADATA.to_json())
    page = visitor.get(f"/analyses/{unsure.pk}/")
    assertContains(page, "What the network would say")
    for explaining in ("data-explain=", "Inside the network", 'value="explanation"'):
        assertNotContains(page, explaining)
    assertContains(page, "<h1>Silence</h1>")
    assertContains(page, "<title>Silence · ")
    assertContains(page, "never louder than −80 dB")
    assertNotContains(page, "unlike those that this model was trained on")
    assertContains(visitor.get("/history/"), "<strong>Silence</strong>")


def test_the_api_says_it_in_lists_and_details(caller: Caller, unsure: Analysis) -> None:
    (row,) = caller.get("analyses/").json()["results"]
    assert row["not_sure"] is True
    assert caller.get(f"analyses/{unsure.pk}/").json()["not_sure"] is True
    sure = done(caller.user)
    assert caller.get(f"analyses/{sure.pk}/").json()["not_sure"] is False


def test_batches_and_their_exports_say_it(visitor: Client, anna: User, unsure: Analysis) -> None:
    batch = Batch.objects.create(owner=anna, name="garden")
    file = BatchFile.objects.create(
        batch=batch, path="a.wav", outcome=FileOutcome.ACCEPTED, analysis=unsure
    )
    page = visitor.get(f"/batches/{batch.pk}/")
    assertContains(page, "<strong>Not sure: rain or crackling fire?</strong>")
    assert batch_files.file_json(file)["not_sure"] is True
    lines = b"".join(batch_files.as_csv(batch)).decode().splitlines()
    column = lines[0].split(",").index("not_sure")
    assert lines[1].split(",")[column] == "True"
    exported = json.loads(b"".join(batch_files.as_json(batch)))
    assert exported["files"][0]["not_sure"] is True


def test_a_batch_counts_files_that_are_not_sure_apart_from_the_classes(
    visitor: Client, anna: User, unsure: Analysis
) -> None:
    batch = Batch.objects.create(owner=anna, name="garden")
    for number, analysis in enumerate((unsure, done(anna, "rain"))):
        BatchFile.objects.create(
            batch=batch, path=f"{number}.wav", outcome=FileOutcome.ACCEPTED, analysis=analysis
        )
    labels = visitor.get(f"/api/v1/batches/{batch.pk}/").json()["labels"]
    assert labels == [{"label": "rain", "count": 1}]
    said = 'Not sure: <span class="number">1</span> file,'
    assertContains(visitor.get(f"/batches/{batch.pk}/"), said)
    batch.files.filter(path="1.wav").delete()
    assertContains(visitor.get(f"/batches/{batch.pk}/"), said)  # also without any class


def test_the_models_page_and_the_api_show_the_rates(
    visitor: Client, caller: Caller, cautious: Installed
) -> None:
    page = visitor.get("/models/")
    for said in ("4.0 %", "30.0 %", "65.0 %", "AUROC 0.91", "AUROC 0.80"):
        assertContains(page, said)
    found = caller.get(f"checkpoints/{cautious.identity}/").json()["installed"]
    expected = asdict(REJECTION)
    del expected["statistics"]
    assert found["rejection"] == expected


def test_a_checkpoint_without_rates_never_mentions_them(
    visitor: Client, caller: Caller, other: Installed
) -> None:
    found = caller.get(f"checkpoints/{other.identity}/").json()["installed"]
    assert found["rejection"] is None
    assertNotContains(visitor.get("/models/"), 'aria-label="ESC-50, folds 1–3 (other): not sure"')
