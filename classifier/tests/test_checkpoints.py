"""Several installed checkpoints: the inventory, requests for one, and known results."""

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from classifier.models import Analysis, Batch, FileOutcome, Lane, State
from classifier.services import batches, samples, uploads
from classifier.tests.conftest import Caller, done, refused
from ml.events import settings_path
from tests.bulk_data import METADATA
from tests.checkpoints import header_only


def analysed(checkpoint: str = "") -> None:
    """Finish all queued analyses, with the requested checkpoint or the default."""
    default = inventory.find("")
    assert default is not None
    for row in Analysis.objects.filter(state=State.QUEUED):
        by = row.checkpoint or checkpoint or default.identity
        Analysis.objects.filter(pk=row.pk).update(state=State.DONE, label="dog", checkpoint=by)


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


# --- inventory ----------------------------------------------------------------------------


def test_the_default_checkpoint_is_listed_first(
    other: Installed, settings: Settings, tmp_path: Path
) -> None:
    shipped, tested = (inventory.find(f"esc50-folds{folds}") for folds in ("1234", "123"))
    assert inventory.installed() == (shipped, tested, other)
    assert inventory.find("") == shipped
    settings.CHECKPOINT = header_only(tmp_path / "elsewhere" / "mine.safetensors")
    names = [one.name for one in inventory.installed()]
    assert names == ["mine", "esc50-folds123", "esc50-folds1234", "other"]
    settings.CHECKPOINT = other.path
    default = inventory.find("")
    assert default and default.identity == other.identity
    assert len(inventory.installed()) == 3, "a file that is named twice is there once"


def test_a_file_is_hashed_again_only_after_a_change(
    other: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    misses = inventory._read.cache_info().misses
    for _ in range(5):
        assert inventory.find("other") == other
    assert inventory._read.cache_info().misses == misses
    header_only(other.path, notes=["A third opinion, with more words."])
    os.utime(other.path, ns=(1, 1))
    new = inventory.find("other")
    assert new and new.identity != other.identity
    assert inventory.find(other.identity) is None


def test_a_checkpoint_with_damaged_settings_of_events_is_not_offered(other: Installed) -> None:
    settings_path(other.path).write_text('{"weights": ')
    assert other not in inventory.installed()
    (unusable,) = inventory.look().unusable
    assert "other.events.json has no usable settings of events" in unusable.reason


def test_with_modal_only_the_deployed_checkpoint_is_offered(
    other: Installed, settings: Settings
) -> None:
    settings.INFERENCE = "modal"
    assert [one.name for one in inventory.offered()] == ["esc50-folds1234"]
    assert inventory.find("other") is None


# --- requesting a checkpoint --------------------------------------------------------------


def test_a_checkpoint_can_be_requested_by_name_or_identity(
    caller: Caller, other: Installed
) -> None:
    for number, asked in enumerate((other.name, other.identity)):
        sent = caller.upload(b"%d" % number, checkpoint=asked).json()
        payload = caller.get(f"analyses/{sent['analysis']}/").json()
        assert payload["checkpoint"] == other.identity
        assert payload["checkpoint_page"] == "/models/#other"
    for fields in ({}, {"checkpoint": ""}):
        sent = caller.upload(b"unnamed", **fields).json()
        payload = caller.get(f"analyses/{sent['analysis']}/").json()
        assert (payload["checkpoint"], payload["checkpoint_page"]) == (None, None)


def test_an_unknown_checkpoint_is_refused_with_the_installed_names(
    caller: Caller, other: Installed, own_media: Path
) -> None:
    row = done(caller.user)
    for answer in (
        caller.upload(b"x", checkpoint="othr"),
        caller.upload(b"x", checkpoint="other@000000000000"),
        caller.post(f"clips/{row.clip_id}/analyses/", {"checkpoint": "othr"}),
        caller.post("batches/", {"name": "trip", "checkpoint": "othr"}),
    ):
        refused(answer, 400, "unknown_checkpoint")
        assert answer.json()["hint"] == "Installed: esc50-folds1234, esc50-folds123, other."
    assert Analysis.objects.count() == 1
    assert not Batch.objects.exists()
    assert not list(own_media.rglob("*.*")), "nothing was stored"
    refused(caller.client.post("/api/v1/clips/?checkpoint=other"), 400, "invalid")
    refused(caller.post("batches/", {"name": "trip", "checkpoint": 7}), 400, "invalid")


def test_the_schema_lists_the_available_checkpoints(client: Client, other: Installed) -> None:
    def named() -> list[str]:
        schemas = client.get("/api/schema/").json()["components"]["schemas"]
        return schemas["CreateBatchRequest"]["properties"]["checkpoint"].get("enum")

    default = inventory.find("")
    assert default is not None
    tested = inventory.find("esc50-folds123")
    assert tested is not None
    alone = ["", default.name, default.identity, tested.name, tested.identity]
    assert named() == [*alone, "other", other.identity]
    other.path.unlink()
    assert named() == alone


def test_analysing_again_with_another_checkpoint_creates_a_second_analysis(
    caller: Caller, other: Installed
) -> None:
    clip = uploads.accept([b"x"], name="x", owner=caller.user).clip
    address = f"clips/{clip.pk}/analyses/"
    waiting = clip.analyses.get()
    asked = [caller.post(address, {"checkpoint": "other"}).json()["analysis"] for _ in range(2)]
    assert asked[0] == asked[1] != str(waiting.pk)
    # Naming the default finds the queued analysis that names no checkpoint.
    for named in ({}, {"checkpoint": "esc50-folds1234"}):
        assert caller.post(address, named).json()["analysis"] == str(waiting.pk)
    with pytest.raises(IntegrityError):
        Analysis.objects.create(clip=clip, owner=caller.user, checkpoint=other.identity)


# --- known bytes --------------------------------------------------------------------------


def test_bytes_are_known_per_checkpoint(caller: Caller, other: Installed) -> None:
    first = caller.upload(b"sound").json()["analysis"]
    analysed()
    assert caller.upload(b"sound").status_code == 200
    assert caller.upload(b"sound", checkpoint="esc50-folds1234").json()["analysis"] == first
    second = caller.upload(b"sound", checkpoint="other")
    assert second.status_code == 202
    again = caller.upload(b"sound", checkpoint=other.identity)
    assert (again.status_code, again.json()["analysis"]) == (200, second.json()["analysis"])
    analysed()
    assert caller.upload(b"sound").json()["analysis"] == first
    assert caller.upload(b"sound", checkpoint="other").json() == again.json()


def test_a_result_of_another_installed_checkpoint_does_not_count_for_the_default(
    caller: Caller, other: Installed
) -> None:
    first = caller.upload(b"sound", checkpoint="other")
    analysed()
    assert caller.upload(b"sound").status_code == 202
    Analysis.objects.exclude(pk=first.json()["analysis"]).delete()
    other.path.unlink()
    # A result of a removed checkpoint counts for the default, as that of an earlier default would.
    assert caller.upload(b"sound").json()["analysis"] == first.json()["analysis"]
    assert caller.upload(b"sound", checkpoint="esc50-folds1234").status_code == 202


def test_an_idempotency_key_cannot_be_reused_with_another_checkpoint(
    caller: Caller, other: Installed
) -> None:
    first = caller.upload(b"sound", key="k1", checkpoint="other")
    assert caller.upload(b"sound", key="k1", checkpoint="other").json() == first.json()
    answer = caller.upload(b"sound", key="k1", checkpoint="esc50-folds1234")
    refused(answer, 409, "key_reused")
    assert "another checkpoint" in answer.json()["detail"]


# --- batches ------------------------------------------------------------------------------


def test_a_batch_uses_one_checkpoint_for_all_files(caller: Caller, other: Installed) -> None:
    uploads.accept([b"one"], name="x", owner=caller.user)
    analysed()
    made = caller.post("batches/", {"name": "trip", "checkpoint": "other"}).json()
    assert made["checkpoint"] == other.identity
    address = f"batches/{made['id']}/"
    outcomes = [caller.send(address, str(n), data).json()["outcome"] for n, data in
                enumerate((b"one", b"two", b"one"))]  # fmt: skip
    assert outcomes == ["accepted", "accepted", "duplicate"]
    rows = Analysis.objects.filter(lane=Lane.BULK)
    assert set(rows.values_list("checkpoint", flat=True)) == {other.identity}
    rows.update(state=State.FAILED, error_code="crashed")
    assert caller.post(f"{address}retry/").json()["retried_now"] == 2
    waiting = Analysis.objects.filter(state=State.QUEUED)
    assert list(waiting.values_list("checkpoint", flat=True)) == [other.identity] * 2
    assert caller.post("batches/", {"name": "trip"}).json()["checkpoint"] is None


def test_a_batch_file_gets_a_new_analysis_only_with_the_checkpoint_of_its_batch(
    anna: User, other: Installed
) -> None:
    batch = batches.create(anna, "trip", checkpoint="other")
    file = batches.add_file(batch, "x", [b"x"])
    assert file.analysis
    Analysis.objects.update(state=State.FAILED)
    uploads.analyse_again(file.analysis.clip)
    assert batch.files.get().analysis == file.analysis
    new = uploads.analyse_again(file.analysis.clip, checkpoint="other")
    assert batch.files.get().analysis == new
    assert batch.files.get().outcome == FileOutcome.ACCEPTED


def test_a_folder_can_be_submitted_with_a_checkpoint(
    anna: User, other: Installed, tmp_path: Path
) -> None:
    folder = tmp_path / "trip"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"a")
    submit = ("submit_folder", str(folder), "--user", "anna")
    for _ in range(2):
        call_command(*submit, "--checkpoint", "other")
    call_command(*submit)
    assert list(Batch.objects.order_by("created_at").values_list("checkpoint", flat=True)) == [
        other.identity, "",
    ]  # fmt: skip
    with pytest.raises(CommandError, match="Installed: esc50-folds1234, esc50-folds123, other"):
        call_command(*submit, "--checkpoint", "othr")


# --- pages --------------------------------------------------------------------------------


def test_pages_offer_a_choice_only_with_several_checkpoints(
    visitor: Client, anna: User, settings: Settings, tmp_path: Path
) -> None:
    row = done(anna)
    Analysis.objects.filter(pk=row.pk).update(state="failed")
    addresses = ("/", "/batches/new/", f"/analyses/{row.pk}/")
    settings.INFERENCE = "modal"  # where only the deployed checkpoint is available
    for address in addresses:
        assertNotContains(visitor.get(address), 'name="checkpoint"')
    settings.INFERENCE = "local"
    settings.CHECKPOINTS = tmp_path
    header_only(tmp_path / "other.safetensors")
    for address in addresses:
        page = visitor.get(address)
        assertContains(page, 'name="checkpoint"', count=1)
        assertContains(page, '<option value="">ESC-50, all folds (default)</option>')
        assertContains(page, '<option value="other">ESC-50, folds 1–3 (other)</option>')


def test_a_checkpoint_can_be_chosen_on_the_pages(
    visitor: Client, anna: User, other: Installed
) -> None:
    row = done(anna)
    visitor.post(f"/analyses/{row.pk}/again/", {"checkpoint": "other"})
    visitor.post("/samples/siren/", {"checkpoint": "other"})
    made = visitor.post("/batches/", {"name": "trip", "checkpoint": "other"}).json()
    assert Analysis.objects.filter(checkpoint=other.identity).count() == 2
    assertContains(visitor.get(made["url"]), "/models/#other")
    for address in (f"/analyses/{row.pk}/again/", "/samples/siren/", "/clips/"):
        with samples.sample_path("siren").open("rb") as file:
            answer = visitor.post(address, {"checkpoint": "othr", "file": file})
        hint = "Installed: esc50-folds1234, esc50-folds123, other."
        assertContains(answer, hint, status_code=400)


def test_a_result_links_to_the_evaluation_of_its_checkpoint(
    visitor: Client, anna: User, other: Installed
) -> None:
    row = done(anna)
    Analysis.objects.filter(pk=row.pk).update(
        checkpoint=other.identity,
        render_metadata=METADATA.to_json(),
    )
    page = visitor.get(f"/analyses/{row.pk}/")
    assertContains(page, 'href="/models/#other"')
    assertContains(page, ">ESC-50, folds 1–3 (other)</a>")
    assertContains(page, f">{other.identity}<")
    other.path.unlink()
    page = visitor.get(f"/analyses/{row.pk}/")
    assertNotContains(page, "/models/#")
    assertContains(page, f"{other.identity} <span")
    assertContains(page, "no longer installed")
