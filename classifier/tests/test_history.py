"""The history: filters, orders, saved filters, tags, notes, and changes of many rows."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Clip, Event, SavedFilter, State, Tag
from classifier.models.history import SORTS
from classifier.services import batches, judgements, notes
from classifier.services.exports import analysis_rows
from classifier.tests.conftest import Caller, change_clip, done, queued, refused
from tests.bulk_data import METADATA

DAYS = [datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((3, 0), (4, 23), (5, 0))]


@pytest.fixture
def visitor(caller: Caller) -> Client:
    caller.client.force_login(caller.user)
    return caller.client


@pytest.fixture
def rows(caller: Caller) -> dict[str, Analysis]:
    """Analyses of three clips, oldest first, and one that waits."""
    found = {}
    for number, (name, label, confidence) in enumerate(
        (("dawn", "dog", 0.95), ("noon", "rain", 0.5), ("dusk", "dog", 0.2))
    ):
        row = found[name] = done(caller.user, label, confidence)
        change_clip(row, name=f"{name}.wav", duration_s=4.0 + number, folder=f"site {number}/cam")
        times = {"created_at": DAYS[number], "checkpoint": f"c{number}@1"}
        Analysis.objects.filter(pk=row.pk).update(**times, render_metadata=METADATA.to_json())
    # With a decomposed accent, as from macOS.
    change_clip(found["noon"], notices=["silent"], name="Noon, E\u0301COLE.wav")
    notes.set_tags(found["dusk"].clip, ["Garden"])
    found["waiting"] = queued(caller.user)
    return found


# Each filter of the page, the same one of the API, and the rows that it finds, newest first.
FILTERS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "waiting dusk noon dawn"),
    ({"name": "DU"}, {"name": "DU"}, "dusk"),
    ({"name": "école"}, {"name": "école"}, "noon"),
    ({"label": "dog"}, {"label": "dog"}, "dusk dawn"),
    ({"label": "never_heard"}, {"label": "never_heard"}, ""),
    ({"min_confidence": "50"}, {"min_confidence": 0.5}, "noon dawn"),
    ({"max_confidence": "50"}, {"max_confidence": 0.5}, "dusk noon"),
    (
        {"since": "2026-11-04", "until": "2026-11-04"},
        {"created_after": "2026-11-04T00:00:00Z", "created_before": "2026-11-05T00:00:00Z"},
        "noon",
    ),
    ({"min_length": "5"}, {"min_length": 5}, "dusk noon"),
    ({"max_length": "5"}, {"max_length": 5}, "noon dawn"),
    ({"folder": "site 1"}, {"folder": "site 1/"}, "noon"),
    ({"folder": "site"}, {"folder": "site"}, ""),
    ({"state": "queued"}, {"state": "queued"}, "waiting"),
    ({"checkpoint": "c0@1"}, {"checkpoint": "c0@1"}, "dawn"),
    ({"notice": "silent"}, {"notice": "silent"}, "noon"),
    ({"tag": "garden"}, {"tag": "garden"}, "dusk"),
    ({"label": "dog", "min_confidence": "90"}, {"label": "dog", "min_confidence": 0.9}, "dawn"),
    ({"sort": "oldest"}, {"sort": "oldest"}, "dawn noon dusk waiting"),
    ({"sort": "name"}, {"sort": "name"}, "dawn dusk noon waiting"),
    ({"sort": "confidence"}, {"sort": "confidence"}, "dawn noon dusk"),
    ({"sort": "least_confident"}, {"sort": "least_confident"}, "dusk noon dawn"),
    ({"sort": "length"}, {"sort": "length"}, "dusk noon dawn"),
]


def test_each_filter_finds_the_same_rows_on_the_page_and_over_the_api(
    caller: Caller, visitor: Client, rows: dict[str, Analysis]
) -> None:
    names = {str(row.pk): name for name, row in rows.items()}
    for page, api, expected in FILTERS:
        answer = visitor.get("/history/", page)
        assert answer.status_code == 200, page
        shown = [names[str(row.pk)] for row in answer.context["page"].rows]
        assert shown == expected.split(), page
        assert [names[pk] for pk in caller.ids("analyses/", **api)] == expected.split(), api


@pytest.mark.parametrize(
    "query",
    [
        "state=nonsense",
        "lable=dog",
        "label=dog&label=rain",
        "min_confidence=high",
        "min_confidence=101",
        "min_confidence=80&max_confidence=20",
        "since=yesterday",
        "min_length=nan",
        "notice=loud",
        "tag=unknown",
        "batch=7",
        "sort=random",
        "page=first",
        "name=%00",
    ],
)
def test_a_wrong_filter_is_reported_and_shows_no_rows(
    visitor: Client, rows: dict[str, Analysis], query: str
) -> None:
    answer = visitor.get(f"/history/?{query}")
    assertContains(answer, 'role="alert"', status_code=400)
    if "max_confidence" in query:
        assertContains(answer, "The range ends before it starts.", 1, status_code=400)
    assertNotContains(answer, "data-analysis=", status_code=400)
    statuses = dict.fromkeys(("state", "lable", "sort", "notice", "min_length"), 400) | {"tag": 404}
    if status := statuses.get(query.partition("=")[0]):
        caller = Caller(rows["dawn"].owner)
        refused(caller.client.get(f"/api/v1/analyses/?{query}"), status)
        if query.startswith("tag="):
            refused(caller.client.get(f"/api/v1/clips/?{query}"), status)


def test_active_filters_can_be_removed_one_by_one(
    visitor: Client, rows: dict[str, Analysis]
) -> None:
    page = visitor.get("/history/?label=dog&min_confidence=90&page=1")
    assertContains(page, 'href="?min_confidence=90"')
    assertContains(page, 'href="?label=dog"')
    assertContains(page, "90 % or more")


def test_more_than_a_thousand_rows_are_not_counted(visitor: Client, caller: Caller) -> None:
    clip = queued(caller.user, state=State.DONE).clip
    Analysis.objects.bulk_create(Analysis.of(clip, state=State.DONE) for _ in range(1_001))
    assertContains(visitor.get("/history/"), 'More than <span class="number">1000</span> sounds')
    last = visitor.get("/history/?page=21")
    assert len(last.context["page"].rows) == 2 and not last.context["page"].has_next
    assertContains(visitor.get("/history/?page=22"), "This page has no sounds.")


def test_pages_of_every_order_have_each_row_once(caller: Caller) -> None:
    expected = {str(done(caller.user, "dog", 0.5).pk) for _ in range(7)}  # all values are equal
    for sort in SORTS:
        page, seen = caller.get("analyses/", sort=sort, limit=2).json(), []
        while True:
            seen += [row["id"] for row in page["results"]]
            if page["next"] is None:
                break
            page = caller.client.get(page["next"]).json()
        assert len(seen) == 7 and set(seen) == expected, sort
        back = caller.client.get(page["previous"]).json()
        assert [row["id"] for row in back["results"]] == seen[4:6], sort


def test_a_folder_with_a_batch_is_that_of_the_batch(visitor: Client, caller: Caller) -> None:
    first, second = (batches.create(caller.user, name) for name in ("first", "second"))
    batches.add_file(first, "morning/pond/frog.wav", [b"frog"])
    twin = batches.add_file(second, "evening/frog.wav", [b"frog"])
    assert twin.analysis is not None

    def found(**query: Any) -> list[Analysis]:
        return visitor.get("/history/", query).context["page"].rows

    assert found(folder="morning") == found(folder="morning/pond/") == [twin.analysis]
    assert found(folder="evening") == []
    assert found(folder="evening", batch=second.pk) == [twin.analysis]
    assert found(folder="morning", batch=second.pk) == []
    clip = str(twin.analysis.clip_id)
    assert caller.ids("clips/", folder="Morning/") == [clip]
    assert caller.ids("clips/", folder="evening", batch=second.pk) == [clip]
    assert caller.ids("clips/", folder="morning", batch=second.pk) == []
    page = visitor.get("/history/")
    assertContains(page, "morning/pond/")
    assertContains(page, '<option value="morning/pond">')


def test_filters_are_saved_overwritten_and_deleted(
    visitor: Client, caller: Caller, ben: User, rows: dict[str, Analysis]
) -> None:
    def save(name: str, query: str) -> Any:
        return visitor.post("/history/filters/", {"name": name, "query": query}, follow=True)

    page = save("Sure dogs", "label=dog&min_confidence=80")
    assertContains(page, "/history/?label=dog&amp;min_confidence=80")
    save("sure DOGS", "label=dog&min_confidence=90")
    saved = SavedFilter.objects.get(owner=caller.user)
    assert (saved.name, saved.query) == ("sure DOGS", "label=dog&min_confidence=90")
    assertContains(save("Wrong", "state=nonsense"), "no valid filters")
    assertContains(save("Long", f"name={'%C3%A9' * 350}"), "too long to be saved")
    SavedFilter.objects.create(owner=ben, name="Sure dogs", query="label=cat")
    visitor.post(f"/history/filters/{saved.pk}/delete/")
    assert SavedFilter.objects.get().owner == ben


# --- many rows ----------------------------------------------------------------------------


def act(visitor: Client, action: str, chosen: list[Analysis] | str, **fields: str) -> Any:
    """Do something with rows, or with all that match a query string."""
    form: dict[str, Any] = dict(fields)
    if isinstance(chosen, str):
        form |= {"query": chosen, "all": "on", "now": "2099-01-01T00:00:00+00:00"}
    else:
        form["analysis"] = [str(row.pk) for row in chosen]
    answer = visitor.post(f"/history/{action}/", form)
    if answer.status_code == 302:
        return visitor.get(answer["Location"])
    return answer


def exported(answer: Any) -> set[str]:
    lines = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    return {line["analysis"] for line in lines}


def test_the_export_has_exactly_the_selected_rows(
    visitor: Client, caller: Caller, rows: dict[str, Analysis]
) -> None:
    for row in list(rows.values())[:3]:
        times = {"start_s": 0.5, "end_s": 1.5, "peak_s": 1.0}
        Event.objects.create(analysis=row, label="dog", confidence=0.9, **times)
    dawn, noon, dusk, waiting = rows.values()
    for chosen, expected in (
        ([dawn, waiting], {dawn}),
        ("label=dog", {dawn, dusk}),
        ("sort=confidence&max_confidence=60", {noon, dusk}),
    ):
        found = exported(act(visitor, "export", chosen, format="csv"))
        assert found == {str(row.pk) for row in expected}
    body = {"analyses": [str(noon.pk), str(dusk.pk)], "format": "csv"}
    assert exported(caller.post("analyses/export/?label=dog", body)) == {str(dusk.pk)}
    assert exported(caller.post("analyses/export/", {"all": True, "format": "csv"})) == {
        str(row.pk) for row in (dawn, noon, dusk)
    }


def table(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


def test_the_table_has_the_selected_rows_in_the_order_of_the_page(
    visitor: Client, caller: Caller, rows: dict[str, Analysis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_rows, "ROWS_AT_ONCE", 2)
    names = {str(row.pk): name for name, row in rows.items()}
    for page, api, _ in FILTERS:
        shown = [str(row.pk) for row in visitor.get("/history/", page).context["page"].rows]
        found = table(act(visitor, "export", urlencode(page), format="rows.csv"))
        assert [row["analysis"] for row in found] == shown, page
        answer = caller.post(
            f"analyses/export/?{urlencode(api)}", {"all": True, "format": "rows.csv"}
        )
        assert [row["analysis"] for row in table(answer)] == shown, api
    form = {"analysis": list(names), "query": "sort=length", "format": "rows.csv"}
    ticked = table(visitor.post("/history/export/", form))
    assert [names[row["analysis"]] for row in ticked] == ["dusk", "noon", "dawn"]


def test_a_row_of_the_table_says_what_the_page_says(
    visitor: Client, caller: Caller, rows: dict[str, Analysis]
) -> None:
    dusk = rows["dusk"]
    change_clip(dusk, name="=dusk.wav", note="+1 owl", recorded_at="2026-05-01T05:30:00")
    judgements.judge_clip(dusk, "cat", caller.user)
    found = {row["analysis"]: row for row in table(act(visitor, "export", "", format="rows.csv"))}
    row = found[str(dusk.pk)]
    assert row.pop("judged_at").endswith("Z")
    assert row == {
        "analysis": str(dusk.pk), "clip": str(dusk.clip_id), "file": "'=dusk.wav",
        "folder": "site 2/cam", "state": "done", "label": "dog", "confidence": "0.2",
        "second_label": "", "not_sure": "False", "duration_s": "6.0", "event_count": "",
        "created_at": "2026-11-05T00:00:00Z", "recorded_at": "2026-05-01T05:30:00",
        "tags": "Garden", "note": "'+1 owl", "judged_label": "cat", "judged_by": "anna",
        "notices": "", "checkpoint": "c2@1", "error_code": "",
    }  # fmt: skip
    assert found[str(rows["noon"].pk)]["notices"] == "silent"
    assert found[str(rows["waiting"].pk)]["state"] == "queued"
    lines = b"".join(act(visitor, "export", [dusk], format="rows.jsonl")).decode().splitlines()
    (read,) = map(json.loads, lines)
    assert (read["file"], read["tags"], read["error_code"]) == ("=dusk.wav", ["Garden"], None)


def test_what_is_uploaded_later_is_not_among_all(
    visitor: Client, rows: dict[str, Analysis]
) -> None:
    shown_at = visitor.get("/history/").context["now"]
    later = queued(rows["dawn"].owner)
    form = {"all": "on", "query": "", "now": shown_at, "tag": "old"}
    visitor.post("/history/tag/", form)
    assert later.clip.tag_names == []
    assert rows["waiting"].clip.tag_names == ["old"]


@pytest.mark.parametrize(
    "now", ["", "2026-99-99T00:00:00Z", "0001-01-01T00:00:00+23:00", "2026-11-22T09:00:00"]
)
def test_an_invalid_time_is_refused(visitor: Client, rows: dict[str, Analysis], now: str) -> None:
    form = {"all": "on", "query": "", "now": now, "tag": "old"}
    page = visitor.post("/history/tag/", form, follow=True)
    assertContains(page, "The filters are not valid.")
    assert visitor.post("/batches/seen/", {"until": now}).status_code == 400


def test_tags_are_added_to_many_rows_and_removed(
    visitor: Client, caller: Caller, rows: dict[str, Analysis]
) -> None:
    page = act(visitor, "tag", "label=dog", tag="pond ")
    assertContains(page, "The tag “pond” was added to 2 sounds.")
    assert visitor.get("/history/?tag=POND").context["page"].count == 2
    assertContains(act(visitor, "tag", [rows["dusk"], rows["noon"]], tag="Pond"), "to 1 sound.")
    assert rows["dusk"].clip.tag_names == ["Garden", "pond"]
    assertContains(act(visitor, "tag", "", tag="pond", remove="1"), "removed from 3 sounds")
    assert list(Tag.objects.values_list("name", flat=True)) == ["Garden"]
    assertContains(act(visitor, "tag", "label=dog", tag="a,b"), "is not a tag")
    chosen = {"all": True}
    assert caller.post("analyses/tag/?label=dog", chosen | {"tag": "x"}).json()["clips"] == 2
    assert caller.post("analyses/untag/", chosen | {"tag": "X"}).json()["clips"] == 2
    refused(caller.post("analyses/tag/", {"tag": "x"}), 400, "nothing_selected")


def test_tags_that_only_look_alike_are_different(
    visitor: Client, caller: Caller, rows: dict[str, Analysis]
) -> None:
    clip = rows["dawn"].clip
    notes.set_tags(clip, ["strasse"])
    page = visitor.get("/history/", {"tag": "straße"})
    assertContains(page, "You have no tag “straße”.", status_code=400)
    notes.set_tags(clip, ["strasse", "straße"])
    assert sorted(clip.tag_names) == ["strasse", "straße"]
    page = act(visitor, "delete", [rows["dawn"]])
    act(visitor, "delete", [rows["dawn"]], confirmed=page.context["digest"])
    assert [tag.name for tag in Tag.objects.filter(owner=caller.user)] == ["Garden"]


def test_analysing_again_stops_at_the_quota_and_says_so(
    visitor: Client, caller: Caller, rows: dict[str, Analysis], settings: Settings
) -> None:
    settings.MAX_WAITING_CLIPS = 3
    page = act(visitor, "again", "state=done")
    assertContains(page, "2 sounds will be analysed again. 1 sound was left out")
    assert Analysis.objects.filter(state=State.QUEUED).count() == 3
    answer = caller.post("analyses/again/", {"analyses": [str(rows["waiting"].pk)]})
    assert (answer.status_code, answer.json()["left"]) == (202, 1)
    # Repeated, it continues with the sounds that were left out.
    Analysis.objects.filter(state=State.QUEUED).update(state=State.DONE)
    settings.MAX_WAITING_CLIPS = 1
    caller.post("analyses/again/?checkpoint=c2@1", {"all": True})
    again = Analysis.objects.get(state=State.QUEUED)
    assert again.clip == rows["dusk"].clip
    assert caller.post("analyses/again/?checkpoint=c2@1", {"all": True}).json()["left"] == 0
    Analysis.objects.filter(clip=rows["waiting"].clip).update(state=State.QUEUED)
    settings.MAX_WAITING_CLIPS = 10
    assertContains(act(visitor, "again", [rows["waiting"]]), "1 sound was already waiting")
    refused(caller.post("analyses/again/", {"all": True, "checkpoint": "none"}), 400)


def test_analysing_many_again_takes_as_many_queries_as_few(
    caller: Caller, rows: dict[str, Analysis]
) -> None:
    def queries(name: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert caller.post(f"analyses/again/?label={name}", {"all": True}).json()["queued"]
        return len(found)

    for _ in range(9):
        done(caller.user, "many")
    caller.get("analyses/")  # stores that the token is used
    assert queries("many") == queries("rain")


def test_a_new_analysis_keeps_the_tags(caller: Caller, rows: dict[str, Analysis]) -> None:
    caller.post(f"clips/{rows['dusk'].clip_id}/analyses/")
    assert len(caller.ids("analyses/", tag="garden")) == 2


def test_rows_are_deleted_after_a_confirmation_with_their_number(
    visitor: Client, caller: Caller, rows: dict[str, Analysis], ben: User
) -> None:
    theirs = done(ben)
    page = act(visitor, "delete", [*list(rows.values())[:2], theirs])
    assertContains(page, "Delete 2 sounds?")
    assert Clip.objects.count() == 5
    confirmed = page.context["digest"]
    page = act(visitor, "delete", [*list(rows.values())[:2], theirs], confirmed=confirmed)
    assertContains(page, "2 sounds were deleted.")
    assert set(Clip.objects.values_list("pk", flat=True)) == {
        row.clip_id for row in (rows["dusk"], rows["waiting"], theirs)
    }
    assertContains(act(visitor, "delete", []), "Tick at least one sound.")
    assert caller.post("analyses/delete/?label=dog", {"all": True}).json()["clips"] == 1
    assert set(Clip.objects.values_list("pk", flat=True)) == {
        rows["waiting"].clip_id, theirs.clip_id,
    }  # fmt: skip


def test_sounds_that_match_after_the_confirmation_are_not_deleted(
    visitor: Client, rows: dict[str, Analysis]
) -> None:
    page = act(visitor, "delete", "state=done")
    assertContains(page, "Delete 3 sounds?")
    Analysis.objects.filter(pk=rows["waiting"].pk).update(state=State.DONE)
    page = act(visitor, "delete", "state=done", confirmed=page.context["digest"])
    assertContains(page, "Delete 4 sounds?")
    assert Clip.objects.count() == 4
    act(visitor, "delete", "state=done", confirmed=page.context["digest"])
    assert not Clip.objects.exists()


# --- tags and a note of one clip ------------------------------------------------------------


def test_tags_and_note_are_edited_on_the_result_page_and_over_the_api(
    visitor: Client, caller: Caller, rows: dict[str, Analysis]
) -> None:
    row = rows["dawn"]
    form = {"tags": "garden, Dawn chorus,,", "note": "Behind the shed <b>"}
    visitor.post(f"/analyses/{row.pk}/notes/", form)
    assert row.clip.tag_names == ["Dawn chorus", "Garden"]
    page = visitor.get(f"/analyses/{row.pk}/")
    assertContains(page, 'value="Dawn chorus, Garden"')
    assertContains(page, "Behind the shed &lt;b&gt;")
    too_long = visitor.post(f"/analyses/{row.pk}/notes/", {"tags": "", "note": "x" * 2001})
    assertContains(too_long, "2,001 characters", status_code=400)
    assert row.clip.tag_names == ["Dawn chorus", "Garden"]

    path = f"clips/{row.clip_id}/"
    answer = caller.patch(path, {"tags": ["dusk"]}).json()
    assert (answer["tags"], answer["note"]) == (["dusk"], "Behind the shed <b>")
    assert caller.patch(path, {"note": ""}).json()["note"] is None
    refused(caller.patch(path, {"tags": ["a,b"]}), 400, "invalid_tag")
    assert caller.ids("clips/", tag="DUSK") == [str(row.clip_id)]
    (listed,) = caller.get("analyses/", tag="dusk").json()["results"]
    assert (listed["tags"], listed["folder"]) == (["dusk"], "site 0/cam")


def test_a_link_of_the_page_survives_odd_values(visitor: Client, rows: dict[str, Analysis]) -> None:
    query = urlencode({"name": 'a"&<b>+%'})
    page = visitor.get(f"/history/?{query}")
    assertContains(page, "No sounds in your history match")
    assertContains(page, "To find a class, use the Class filter.")
    assertNotContains(page, "<b>")
