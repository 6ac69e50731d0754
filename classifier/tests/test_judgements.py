"""What users say that their sounds are: pages, API, exports, filters and precision."""

import csv
import io
import json
import re
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from classifier.models import Analysis, Clip, Event, Judgement
from classifier.services import account_export, deletion, judgements
from classifier.services.uploads import analyse_again
from classifier.tests.conftest import Caller, done, queued, refused
from tests.bulk_data import METADATA


def event(analysis: Analysis, label: str = "dog", start_s: float = 1.0) -> Event:
    return Event.objects.create(
        analysis=analysis,
        label=label,
        start_s=start_s,
        end_s=start_s + 2,
        confidence=0.8,
        peak_s=start_s + 1,
    )


def put(caller: Caller, path: str, label: str | None) -> Any:
    address = f"/api/v1/{path}judgement/"
    return caller.client.put(address, {"label": label}, content_type="application/json")


def judged(caller: Caller, choice: str) -> set[str]:
    return set(caller.ids("analyses/", judged=choice))


# --- the API ------------------------------------------------------------------------------


def test_a_clip_is_judged_and_judged_again(anna: User, caller: Caller) -> None:
    analysis = done(anna)
    path = f"analyses/{analysis.pk}/"
    assert caller.get(path).json()["judgement"] is None
    answer = put(caller, path, "cat")
    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert (said["label"], said["right"], said["by"]) == ("cat", False, "anna")
    assert caller.get(path).json()["judgement"] == said
    assert caller.get("analyses/").json()["results"][0]["judgement"] == said
    assert put(caller, path, "dog").json()["right"] is True
    assert put(caller, path, None).json()["label"] is None
    assert Judgement.objects.count() == 1
    assert caller.delete(f"{path}judgement/").status_code == 204
    assert caller.get(path).json()["judgement"] is None


def test_only_classes_of_the_checkpoint_and_finished_analyses_are_judged(
    anna: User, caller: Caller
) -> None:
    analysis = done(anna)
    found = event(analysis)
    for path in (f"analyses/{analysis.pk}/", f"events/{found.pk}/"):
        refused(put(caller, path, "unicorn"), 400, "unknown_label")
        refused(put(caller, path, "Cat"), 400, "unknown_label")
    refused(put(caller, f"analyses/{queued(anna).pk}/", "dog"), 409, "not_done")
    assert not Judgement.objects.exists()


def test_an_event_is_judged_apart_from_its_clip(anna: User, caller: Caller) -> None:
    analysis = done(anna)
    first, second = event(analysis), event(analysis, start_s=3.5)
    assert put(caller, f"events/{first.pk}/", "cat").json()["right"] is False
    rows = caller.get(f"analyses/{analysis.pk}/events/").json()["results"]
    assert [row["id"] for row in rows] == [first.pk, second.pk]
    assert rows[0]["judgement"]["label"] == "cat"
    assert rows[1]["judgement"] is None
    assert caller.get(f"analyses/{analysis.pk}/").json()["judgement"] is None
    assert caller.delete(f"events/{first.pk}/judgement/").status_code == 204
    assert not Judgement.objects.exists()


def test_a_judgement_applies_to_a_later_analysis_of_the_clip(anna: User, caller: Caller) -> None:
    first = done(anna, label="dog")
    put(caller, f"analyses/{first.pk}/", "cat")
    later = analyse_again(first.clip)
    Analysis.objects.filter(pk=later.pk).update(state="done", label="cat", confidence=0.7)
    assert caller.get(f"analyses/{later.pk}/").json()["judgement"]["right"] is True
    assert judged(caller, "right") == {str(later.pk)}
    assert judged(caller, "wrong") == {str(first.pk)}


def test_none_of_the_classes_applies_to_the_judged_checkpoint_only(
    anna: User, caller: Caller
) -> None:
    first = done(anna, label="dog")
    later, unsure = analyse_again(first.clip), done(anna, label="dog")
    values = {"state": "done", "label": "dog", "confidence": 0.7}
    Analysis.objects.filter(pk=later.pk).update(checkpoint="more@1", **values)
    Analysis.objects.filter(pk=unsure.pk).update(clip=first.clip, not_sure=True)
    judgements.judge_clip(first, "", anna)
    said = {pk: caller.get(f"analyses/{pk}/").json()["judgement"] for pk in (first.pk, later.pk)}
    assert (said[first.pk]["label"], said[first.pk]["right"]) == (None, False)
    assert said[later.pk] is None
    assert judged(caller, "right") == {str(unsure.pk)}
    assert judged(caller, "wrong") == {str(first.pk)}
    assert judged(caller, "judged") == {str(first.pk), str(unsure.pk)}
    assert judged(caller, "not_judged") == {str(later.pk)}
    (row,) = caller.get("judgements/precision/").json()["results"]
    assert (row["checkpoint"], row["judged"]) == (first.checkpoint, 1)


def test_only_a_finished_analysis_is_right_or_wrong(anna: User, caller: Caller) -> None:
    first = done(anna)
    judgements.judge_clip(first, "dog", anna)
    later = analyse_again(first.clip)
    for state in ("queued", "failed", "cancelled"):
        Analysis.objects.filter(pk=later.pk).update(state=state)
        said = caller.get(f"analyses/{later.pk}/").json()["judgement"]
        assert (said["label"], said["right"]) == ("dog", None), state
        assert judged(caller, "right") == {str(first.pk)}
        assert judged(caller, "wrong") == set()


def test_analyses_are_filtered_by_judgement(anna: User, ben: User, caller: Caller) -> None:
    right, wrong, none, unsure = (done(anna) for _ in range(4))
    theirs = done(ben)
    Analysis.objects.filter(pk=unsure.pk).update(not_sure=True)
    for analysis, label in ((right, "dog"), (wrong, "cat"), (theirs, "dog"), (unsure, "")):
        judgements.judge_clip(analysis, label, analysis.owner)
    assert judged(caller, "right") == {str(right.pk), str(unsure.pk)}
    assert judged(caller, "wrong") == {str(wrong.pk)}
    assert judged(caller, "judged") == {str(one.pk) for one in (right, wrong, unsure)}
    assert judged(caller, "not_judged") == {str(none.pk)}
    refused(caller.get("analyses/", judged="maybe"), 400, "invalid")
    assert caller.get(f"analyses/{unsure.pk}/").json()["judgement"]["right"] is True


def test_lists_need_no_more_queries_for_judgements(anna: User, caller: Caller) -> None:
    caller.get("analyses/")  # the first request saves when the token was used
    counts = []
    for count in (1, 9):
        for _ in range(count):
            analysis = done(anna)
            judgements.judge_clip(analysis, "cat", anna)
            judgements.judge_event(event(analysis), "cat", anna)
        with CaptureQueriesContext(connection) as queries:
            caller.get("analyses/")
            caller.get("events/", format="csv").getvalue()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_judgements_are_deleted_with_what_was_judged(anna: User, ben: User) -> None:
    analysis, other = done(anna), done(anna)
    judgements.judge_clip(analysis, "cat", anna)
    judgements.judge_event(event(analysis), "cat", anna)
    judgements.judge_clip(other, "cat", ben)
    deletion.delete_analysis(analysis)
    assert Judgement.objects.filter(event__isnull=False).count() == 0
    assert Judgement.objects.count() == 2  # the clip stays
    ben.delete()
    said = Judgement.objects.get(clip=other.clip)
    assert said.by is None
    deletion.delete_clips(Clip.objects.filter(owner=anna))
    assert not Judgement.objects.exists()


# --- pages --------------------------------------------------------------------------------


def shown(analysis: Analysis) -> str:
    """Return the part of the result page that asks for a judgement, with its markup."""
    client = Client()
    client.force_login(analysis.owner)
    html = client.get(f"/analyses/{analysis.pk}/").content.decode()
    (part,) = re.findall(r'<div class="judgement".*?</div>', html, re.DOTALL)
    return part


def pictured(owner: User, **values: Any) -> Analysis:
    analysis = done(owner)
    values = {"second_label": "cat", "render_metadata": METADATA.to_json(), **values}
    Analysis.objects.filter(pk=analysis.pk).update(**values)
    return Analysis.objects.get(pk=analysis.pk)


def test_the_page_asks_and_shows_who_said_what(anna: User, client: Client) -> None:
    analysis = pictured(anna)
    assert "Is this right?" in shown(analysis)
    client.force_login(anna)
    path = f"/analyses/{analysis.pk}/judgement/"
    assert '<option value="cat">Cat</option>' in client.get(path).content.decode()
    answer = client.post(path, {"label": "cat"})
    assert answer["Location"] == f"/analyses/{analysis.pk}/"
    assert "You said: <strong>Cat</strong>" in " ".join(
        re.sub("</?span[^>]*>", "", shown(analysis)).split()
    )
    assert client.post(path, {"label": "unicorn"}).status_code == 400
    assert client.post(path).status_code == 400
    client.post(path, {"none": "yes"})
    assert "None of the classes" in shown(analysis)
    client.post(path, {"remove": "yes"})
    assert "Is this right?" in shown(analysis)


def test_an_unsure_answer_offers_both_classes(anna: User) -> None:
    part = shown(pictured(anna, not_sure=True))
    assert "Which is it?" in part
    assert 'value="dog"' in part and 'value="cat"' in part


def test_yes_to_silence_says_that_it_is_none_of_the_classes(anna: User) -> None:
    analysis = pictured(anna, not_sure=True)
    Clip.objects.filter(pk=analysis.clip_id).update(notices=["silent"])
    assert 'name="none"' in shown(analysis)
    judgements.judge_clip(analysis, "", anna)
    assert Analysis.objects.get(pk=analysis.pk).right


def test_the_checked_answers_show_the_precision(anna: User, client: Client) -> None:
    client.force_login(anna)
    assert "No answers checked yet" in client.get("/checked/").content.decode()
    for said in ("dog", "cat", ""):
        judgements.judge_clip(done(anna), said, anna)
    html = client.get("/checked/").content.decode()
    assert "<strong>1 of 3</strong>" in html
    assert "None of the classes, Cat" in html
    assert client.get("/api/v1/judgements/sounds.zip").status_code == 200


# --- precision ----------------------------------------------------------------------------


def test_the_precision_of_each_class(anna: User, ben: User, caller: Caller) -> None:
    for said in ("dog", "dog", "dog", "cat", ""):
        judgements.judge_clip(done(anna), said, anna)
    judgements.judge_clip(done(ben), "cat", ben)
    unsure = done(anna)
    Analysis.objects.filter(pk=unsure.pk).update(not_sure=True)
    judgements.judge_clip(unsure, "cat", anna)
    recorded = done(anna)
    judgements.judge_event(event(recorded, "cat"), "cat", anna)
    (clips, events) = caller.get("judgements/precision/").json()["results"]
    assert (clips["of"], clips["label"], clips["judged"], clips["right"]) == ("clips", "dog", 5, 3)
    assert clips["precision"] == 0.6
    assert clips["interval"] == pytest.approx([0.2307, 0.8824], abs=1e-4)
    assert clips["instead"] == [{"label": None, "count": 1}, {"label": "cat", "count": 1}]
    assert (events["of"], events["label"], events["precision"]) == ("events", "cat", 1.0)


def test_a_clip_that_was_analysed_twice_counts_once(anna: User, caller: Caller) -> None:
    analysis = done(anna)
    Analysis.objects.create(clip=analysis.clip, owner=anna, state="done", label="dog")
    judgements.judge_clip(analysis, "dog", anna)
    (row,) = caller.get("judgements/precision/").json()["results"]
    assert row["judged"] == 1


# --- exports ------------------------------------------------------------------------------


def test_event_exports_have_the_judgement(anna: User, caller: Caller) -> None:
    analysis = done(anna)
    judgements.judge_event(event(analysis), "cat", anna)
    event(analysis, start_s=3.5)
    path = f"analyses/{analysis.pk}/events/"
    rows = list(csv.DictReader(io.StringIO(caller.get(path, format="csv").getvalue().decode())))
    assert [(row["judged_label"], row["judged_by"]) for row in rows] == [("cat", "anna"), ("", "")]
    assert rows[0]["judged_at"].endswith("Z") and not rows[1]["judged_at"]
    (recording,) = json.loads(caller.get(path, format="json").getvalue())["recordings"]
    assert [one["judged_label"] for one in recording["events"]] == ["cat", None]


def test_the_account_export_has_the_judgements(anna: User, ben: User) -> None:
    analysis = done(anna)
    found = event(analysis)
    judgements.judge_clip(analysis, "cat", anna)
    judgements.judge_event(found, "", anna)
    judgements.judge_clip(done(ben), "cat", ben)
    data = b"".join(account_export.of(anna))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = [json.loads(line) for line in archive.read("judgements.jsonl").splitlines()]
        events = [json.loads(line) for line in archive.read("events.jsonl").splitlines()]
    assert [(row["clip"], row["event"], row["label"], row["username"]) for row in rows] == [
        (str(analysis.clip_id), None, "cat", "anna"),
        (None, found.pk, "", "anna"),
    ]
    assert events[0]["id"] == found.pk
