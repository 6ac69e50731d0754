"""The events of a recording on its page: title, table, lanes and chart."""

import re
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from classifier.models import Analysis, Clip, Event
from classifier.tests.conftest import done
from classifier.views import recording
from ml.render_metadata import LogitInfo, WindowPrediction
from tests.bulk_data import METADATA

WINDOWS = tuple(
    WindowPrediction(2.5 * number, "siren" if number in (76, 77) else "rain", 0.5 + number / 1000)
    for number in range(216)
)


@pytest.fixture
def recorded(anna: User) -> Analysis:
    """A recording of nine minutes without events."""
    analysis = done(anna)
    index = replace(METADATA.index, logits=(LogitInfo("rain", 6.0, 0.8),))
    metadata = replace(METADATA, window_predictions=WINDOWS, index=index)
    analysis.render_metadata = metadata.to_json()
    analysis.event_count = 0
    analysis.long = True
    analysis.save()
    Clip.objects.filter(pk=analysis.clip_id).update(duration_s=542.0)
    return Analysis.objects.get(pk=analysis.pk)


def add(analysis: Analysis, *events: tuple[str, float, float, float]) -> list[Event]:
    """Create events from label, start, end and confidence."""
    made = Event.objects.bulk_create(
        Event(analysis=analysis, label=label, start_s=start_s, end_s=end_s,
              confidence=confidence, peak_s=(start_s + end_s) / 2)
        for label, start_s, end_s, confidence in events
    )  # fmt: skip
    Analysis.objects.filter(pk=analysis.pk).update(event_count=analysis.events.count())
    return made


def page(analysis: Analysis, query: str = "") -> str:
    client = Client()
    client.force_login(analysis.owner)
    return client.get(f"/analyses/{analysis.pk}/{query}").content.decode()


def rows(html: str) -> list[str]:
    """Return the times of the rows of the table."""
    return re.findall(r'<td class="number">(\d\S+–\d[\d:.]+)', html)


NIGHT = (
    ("rain", 10.0, 62.5, 0.62),
    ("siren", 191.0, 199.5, 0.977),
    ("rain", 300.0, 310.0, 0.41),
    ("church_bells", 305.0, 309.0, 0.88),
)


def test_the_title_counts_the_sounds(recorded: Analysis) -> None:
    assert "<h1>Nothing clear in 9:02</h1>" in page(recorded)
    assert recording.title(0, 542.0, silent=True) == "Silence for 9:02"
    assert recording.title(1, 12.0, silent=False) == "1 sound in 0:12"
    add(recorded, *NIGHT)
    assert "<h1>4 sounds in 9:02</h1>" in page(recorded)


def test_lists_count_the_sounds_and_name_no_class(recorded: Analysis) -> None:
    client = Client()
    client.force_login(recorded.owner)
    add(recorded, *NIGHT)
    for path in ("/history/", "/"):
        html = client.get(path).content.decode()
        assert "<strong>4 sounds</strong>" in html
        assert "90.0 %" not in html


def test_the_table_filters_and_sorts(recorded: Analysis) -> None:
    add(recorded, *NIGHT)
    by_start = ["0:10.0–1:02.5", "3:11.0–3:19.5", "5:00.0–5:10.0", "5:05.0–5:09.0"]
    assert rows(page(recorded)) == by_start
    assert rows(page(recorded, "?sort=-start")) == by_start[::-1]
    assert rows(page(recorded, "?sort=-confidence"))[:2] == [by_start[1], by_start[3]]
    assert rows(page(recorded, "?sort=label"))[0] == by_start[3], "church bells"
    assert rows(page(recorded, "?label=rain")) == [by_start[0], by_start[2]]
    assert rows(page(recorded, "?label=rain&min_confidence=0.5")) == [by_start[0]]
    assert "1 of 4 sounds" in page(recorded, "?label=rain&min_confidence=0.5")
    assert "No sounds match these filters." in page(recorded, "?label=rain&min_confidence=0.9")
    assert rows(page(recorded, "?label=unicorn&sort=x&page=y")) == by_start, "ignored"


def test_an_event_opens_the_window_around_it_with_its_class(recorded: Analysis) -> None:
    _, siren, _, _ = add(recorded, *NIGHT)
    shown = page(recorded, f"?event={siren.pk}")
    assert 'data-show-from="191.0"' in shown
    assert "3:12.5–3:17.5" in shown, "the window whose best class is the siren"
    assert 'Siren, <span class="number">3:11.0–3:19.5' in shown
    assert "data-show-from" not in page(recorded), "the page begins with the whole recording"
    assert 'Siren, <span class="number">' in page(recorded), "and the event with most confidence"


def test_a_class_that_is_not_the_best_of_its_window_can_be_explained(recorded: Analysis) -> None:
    bells = add(recorded, *NIGHT)[-1]
    shown = page(recorded, f"?event={bells.pk}")
    names = re.findall(r'data-explain="\d" data-name="([\w ]+)"( hidden)?', shown)
    assert names == [("Rain", " hidden"), ("Church bells", "")]


def test_events_show_the_time_of_day_if_the_start_is_known(recorded: Analysis) -> None:
    add(recorded, *NIGHT)
    assert "23:59:50" not in page(recorded)
    Clip.objects.filter(pk=recorded.clip_id).update(
        recorded_at="2026-05-03T23:59:40+02:00", recorded_from="bwf"
    )
    assert "23:59:50" in page(recorded)
    assert "00:02:51" in page(recorded), "after midnight"
    assert "3 May 2026, 23:59:40 UTC+02:00 (from its Broadcast WAV header)" in page(recorded)


def test_a_thousand_events_are_paged_with_few_queries(recorded: Analysis) -> None:
    made = add(recorded, *(("rain", n / 2, n / 2 + 0.4, 0.5) for n in range(1000)))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        first = page(recorded)
    assert len(queries) <= 31
    assert len(rows(first)) == recording.PAGE_EVENTS
    assert "Page 1 of 20" in first
    opened = page(recorded, f"?event={made[777].pk}")
    assert "Page 16 of 20" in opened, "the page with the event"


def test_the_lanes_have_the_events_of_each_label_most_frequent_first(recorded: Analysis) -> None:
    add(recorded, *NIGHT)
    client = Client()
    client.force_login(recorded.owner)
    lanes = client.get(f"/analyses/{recorded.pk}/lanes/").json()["lanes"]
    assert [(lane["label"], len(lane["events"])) for lane in lanes] == [
        ("rain", 2), ("siren", 1), ("church_bells", 1),
    ]  # fmt: skip
    assert lanes[1]["events"][0][1:] == [191.0, 199.5, 0.977]


@pytest.mark.parametrize(("lanes", "hidden"), [(8, 0), (9, 0), (10, 0), (11, 3)])
def test_at_least_three_lanes_are_hidden_or_none(
    recorded: Analysis, lanes: int, hidden: int
) -> None:
    add(recorded, *((f"sound {number}", 10.0, 12.0, 0.9) for number in range(lanes)))
    text = page(recorded)
    names = re.findall(r'<li data-label="sound \d+"( hidden)?>', text)
    assert (len(names), names.count(" hidden")) == (lanes, hidden)
    assert (f"Show all {lanes} lanes" in text) == bool(hidden)


@pytest.mark.parametrize(
    ("duration_s", "unit", "bars"), [(542.0, "minute", 10), (3 * 3600 + 1, "hour", 4)]
)
def test_the_chart_counts_by_minute_or_hour(duration_s: float, unit: str, bars: int) -> None:
    found = recording.chart([0.0, 59.9, 400.0, duration_s - 0.5], duration_s)
    assert found
    assert (found.unit, len(found.bars)) == (unit, bars)
    assert sum(bar.count for bar in found.bars) == 4
    assert found.bars[-1].place + found.bars[-1].width == pytest.approx(100, abs=0.01)


def test_a_short_recording_has_no_chart() -> None:
    assert recording.chart([1.0, 2.0], 30.0) is None
    assert recording.chart([], 542.0) is None
