"""What was changed or left out when a file was decoded: on its page, in the API and in exports."""

import csv
import io
import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome
from classifier.services.exports import batch_files
from classifier.tests.conftest import Caller, done
from ml.notices import SENTENCES

CODES = ["cut_short", "rate_changed"]
NOTICES = [{"code": code, "detail": SENTENCES[code]} for code in CODES]


@pytest.fixture
def noticed(anna: User) -> Analysis:
    analysis = done(anna, "rain", 0.9)
    Clip.objects.filter(pk=analysis.clip_id).update(notices=CODES)
    return analysis


def test_the_api_lists_them_with_the_clip_and_with_its_analyses(
    caller: Caller, noticed: Analysis
) -> None:
    for path in (f"clips/{noticed.clip_id}/", f"analyses/{noticed.pk}/"):
        assert caller.get(path).json()["notices"] == NOTICES
    assert caller.get("analyses/").json()["results"][0]["notices"] == NOTICES


def test_the_page_says_them(anna: User, noticed: Analysis) -> None:
    visitor = Client()
    visitor.force_login(anna)
    address = f"/analyses/{noticed.pk}/"
    for code in CODES:
        assertContains(visitor.get(address), SENTENCES[code])
    Clip.objects.update(notices=[])
    for code in CODES:
        assertNotContains(visitor.get(address), SENTENCES[code])


def test_lists_mark_the_sounds_that_have_some(anna: User, noticed: Analysis) -> None:
    batch = Batch.objects.create(owner=anna, name="garden")
    for path, analysis in (("noticed.mp3", noticed), ("plain.wav", done(anna, "rain", 0.8))):
        outcome = FileOutcome.ACCEPTED
        BatchFile.objects.create(batch=batch, path=path, outcome=outcome, analysis=analysis)
    visitor = Client()
    visitor.force_login(anna)
    sentences = " ".join(SENTENCES[code] for code in CODES)
    for address in ("/history/", f"/batches/{batch.pk}/"):
        page = visitor.get(address)
        assertContains(page, f'class="tag" title="{sentences}"', count=1)
        assertContains(page, f'note<span class="unseen">: {sentences}</span>', count=1)


def test_the_admin_lists_and_exports_them(admin_client: Client, noticed: Analysis) -> None:
    for address in ("analysis", "clip"):
        assertContains(admin_client.get(f"/admin/classifier/{address}/"), "cut_short; rate_changed")
    rows = admin_client.post(
        "/admin/classifier/analysis/",
        {"action": "export_csv", "_selected_action": [str(noticed.pk)]},
    )
    (row,) = csv.DictReader(io.StringIO(rows.getvalue().decode()))
    assert row["notices"] == "cut_short; rate_changed"


def test_the_exports_of_a_batch_have_a_column_for_them(anna: User, noticed: Analysis) -> None:
    batch = Batch.objects.create(owner=anna, name="garden")
    for path, analysis in (("noticed.mp3", noticed), ("plain.wav", done(anna, "rain", 0.8))):
        outcome = FileOutcome.ACCEPTED
        BatchFile.objects.create(batch=batch, path=path, outcome=outcome, analysis=analysis)
    BatchFile.objects.create(batch=batch, path="refused.wav", outcome=FileOutcome.REFUSED)
    rows = csv.DictReader(io.StringIO(b"".join(batch_files.as_csv(batch)).decode()))
    assert [row["notices"] for row in rows] == ["cut_short; rate_changed", "", ""]
    files = json.loads(b"".join(batch_files.as_json(batch)))["files"]
    assert [file["notices"] for file in files] == [NOTICES, [], []]
