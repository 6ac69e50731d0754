"""The start of a recording in the API and on its page."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Clip
from classifier.tests.conftest import Caller, done, refused
from tests.bulk_data import METADATA

ZONED, LOCAL = "2024-05-01T05:30:00+02:00", "2024-05-01T05:30:00"


@pytest.fixture
def analysis(anna: User) -> Analysis:
    row = done(anna)
    row.render_metadata = METADATA.to_json()
    row.save()
    return row


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def recorded(analysis: Analysis) -> tuple[str, str]:
    return Clip.objects.values_list("recorded_at", "recorded_from").get(pk=analysis.clip_id)


def test_the_clock_time_of_a_place_has_the_zone_of_the_recording() -> None:
    clip = Clip(recorded_at=ZONED)
    place = clip.clock_time(90.5)
    assert place == datetime(2024, 5, 1, 3, 31, 30, 500_000, UTC)
    assert place is not None and place.isoformat() == "2024-05-01T05:31:30.500000+02:00"
    assert Clip(recorded_at=LOCAL).clock_time() == datetime(2024, 5, 1, 5, 30)
    assert Clip().clock_time(1.0) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (ZONED, ZONED),
        (LOCAL, LOCAL),
        ("2024-05-01 05:30Z", "2024-05-01T05:30:00+00:00"),
        ("", None),
        (None, None),
    ],
)
def test_the_api_sets_the_start(
    caller: Caller, analysis: Analysis, sent: str | None, kept: str | None
) -> None:
    Clip.objects.update(recorded_at="2000-01-01T00:00:00", recorded_from="name")
    path = f"clips/{analysis.clip_id}/"
    assert caller.get(path).json()["recorded_from"] == "name"
    answer = caller.patch(path, {"recorded_at": sent})
    assert answer.status_code == 200
    for clip in (answer.json(), caller.get(path).json(), caller.get("clips/").json()["results"][0]):
        assert (clip["recorded_at"], clip["recorded_from"]) == (kept, "user")
    assert [row["id"] for row in answer.json()["analyses"]] == [str(analysis.pk)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"recorded_at": "yesterday"}, "invalid_time"),
        ({"recorded_at": "2024-05-01"}, "invalid_time"),
        ({"recorded_at": "2924-05-01T05:30:00"}, "invalid_time"),
        ({"recorded_at": "1924-05-01T05:30:00"}, "invalid_time"),
        ({"recorded_at": "2024-05-01T05:30:00+99:00"}, "invalid_time"),
        ({"recorded_at": 20240501}, "invalid"),
        ({"recorded_at": "x" * 41}, "invalid"),
        ({"name": "dawn.wav"}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_the_api_refuses_what_is_no_time(
    caller: Caller, analysis: Analysis, body: dict[str, object], code: str
) -> None:
    refused(caller.patch(f"clips/{analysis.clip_id}/", body), 400, code)
    assert recorded(analysis) == ("", "")


def test_the_page_shows_when_the_recording_started(visitor: Client, analysis: Analysis) -> None:
    page = f"/analyses/{analysis.pk}/"
    assertContains(visitor.get(page), '<dd id="recorded">unknown')
    for at, source, shown in (
        (LOCAL, "name", "1 May 2024, 05:30 (from the file name; time zone unknown)"),
        (ZONED, "wamd", "1 May 2024, 05:30 UTC+02:00 (from its Wildlife Acoustics metadata)"),
        ("2024-05-01T05:30:09+00:00", "user", "1 May 2024, 05:30:09 UTC (set by you)"),
    ):
        Clip.objects.update(recorded_at=at, recorded_from=source)
        answer = visitor.get(page)
        assertContains(answer, shown)
        # The form starts with the same time.
        assertContains(answer, f'value="{at[:19]}"')
        assertContains(answer, f'autocomplete="off" value="{at[19:]}"')


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_the_form_sets_and_removes_the_start(
    visitor: Client, analysis: Analysis, headers: dict[str, str]
) -> None:
    page = f"/analyses/{analysis.pk}/"
    for at, offset, kept in (
        ("2024-05-01T05:30", "+02:00", ZONED),
        ("2024-05-01T05:30:00", "", LOCAL),
        ("", "+02:00", ""),
    ):
        answer = visitor.post(f"{page}recorded/", {"at": at, "offset": offset}, headers=headers)
        if headers:
            assertContains(answer, "set by you" if kept else "unknown")
            assertNotContains(answer, "<html")
        else:
            assert (answer.status_code, answer["Location"]) == (302, page)
        assert recorded(analysis) == (kept, "user")


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_the_form_explains_a_wrong_time(
    visitor: Client, analysis: Analysis, headers: dict[str, str]
) -> None:
    form = {"at": "2024-05-01T05:30", "offset": "<b>"}
    answer = visitor.post(f"/analyses/{analysis.pk}/recorded/", form, headers=headers)
    assertContains(answer, "is not a date and time from 1980 until now", status_code=400)
    assertNotContains(answer, "<b>", status_code=400)
    # What was typed is kept.
    assertContains(answer, 'value="2024-05-01T05:30"', status_code=400)
    assertContains(answer, 'value="&lt;b&gt;"', status_code=400)
    assert (b"<html" in answer.content) == (not headers)
    assert recorded(analysis) == ("", "")
