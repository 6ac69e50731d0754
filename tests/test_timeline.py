"""The page of a recording in a real browser: lanes, table of sounds, and zoom."""

import re

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import Page, expect
from torchaudio.functional import resample

from tests import fixtures
from tests.result_page import show, shown_explanation
from tests.server import ROOT, Person, Server, wait_for
from tests.test_accessibility import AXE

RATE_HZ, RECORDING_S, SIREN_S = 8_000, 542.0, 325.0
# A cell of the picture is this wide without tiles.
OVERVIEW_COLUMNS = 2048
MAX_NODES = 2_200
TAB_STOPS = """[...document.querySelectorAll(".event *, [data-lanes] *")]
  .filter((element) => element.tabIndex >= 0).length"""


@pytest.fixture(scope="module")
def recording(listener: Person) -> dict:
    """Nine minutes of noise with a siren in it."""
    samples, rate_hz = soundfile.read(ROOT / "webapp/samples/siren.flac", dtype="float32")
    siren = resample(torch.from_numpy(samples), rate_hz, RATE_HZ).numpy()
    sound = fixtures.noise(RECORDING_S, RATE_HZ, level=0.02, seed=3)
    start = round(SIREN_S * RATE_HZ)
    sound[start : start + len(siren)] += siren
    data = fixtures.encode(np.clip(sound, -1, 1), RATE_HZ, "FLAC")
    return listener.wait(listener.submit("night.flac", data), limit_s=300)


def now(page: Page) -> float:
    """Return the time of the playhead in seconds."""
    minutes, seconds = page.locator("[data-clock]").inner_text().split(":")
    return 60 * int(minutes) + float(seconds)


def expect_siren_open(page: Page) -> None:
    """Expect the siren's window with its explanation, in detail, and the playhead at its start."""
    expect(page).to_have_url(re.compile("event="))
    expect(page.locator("#opened-title")).to_contain_text("Siren", timeout=60_000)
    expect(page.locator(".answer-button[aria-pressed=true]")).to_contain_text("Siren")
    expect(shown_explanation(page)).to_have_attribute("aria-label", re.compile("“Siren”"))
    expect(page.locator("[data-verdict]:visible")).to_have_count(1, timeout=60_000)
    expect(page.locator("sono-scope[data-sharp=true]")).to_be_visible(timeout=60_000)
    assert now(page) == pytest.approx(SIREN_S, abs=5)
    head, view = page.locator("[data-playhead]"), page.locator("[data-travel]")
    inside, outside = head.bounding_box(), view.bounding_box()
    assert inside and outside
    assert 0 <= inside["x"] - outside["x"] <= outside["width"]


def test_three_keys_find_the_siren_one_plays_it_and_one_opens_it(
    page: Page, server: Server, recording: dict
) -> None:
    show(page, server, recording)
    expect(page.locator("h1")).to_have_text(re.compile(r"^\d+ sounds in 9:02$"))
    for key in ("/", "s", "Enter"):
        page.keyboard.press(key)
    rows = page.locator(".event")
    expect(rows).to_have_count(1)
    expect(rows.locator("a.what")).to_be_focused()
    expect(rows).to_contain_text("Siren")
    expect(page).to_have_url(re.compile("label=siren"))
    expect(page.locator("#counts-title")).to_have_text("Sounds per minute: siren")
    csv = page.locator(".events .menu").get_by_role(
        "link", name="CSV", exact=True, include_hidden=True
    )
    expect(csv).to_have_attribute("href", re.compile("label=siren"))
    page.keyboard.press("Space")
    expect(rows).to_have_class(re.compile("playing"))
    wait_for(lambda: now(page) > SIREN_S - 4, 20, "the siren to play")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect_siren_open(page)


def test_two_clicks_play_and_open_the_siren(page: Page, server: Server, recording: dict) -> None:
    show(page, server, recording)
    lane = page.locator("[data-lane-names] li").all_inner_texts().index("Siren")
    expect(page.locator("[data-lanes] canvas")).to_have_attribute(
        "aria-label", re.compile("Siren 1")
    )
    box = page.locator("[data-lanes]").bounding_box()
    row = page.locator("[data-lane-names] li").nth(lane).bounding_box()
    assert box and row
    x = box["x"] + box["width"] * (SIREN_S + 2) / RECORDING_S
    page.mouse.click(x, row["y"] + row["height"] / 2)
    wait_for(lambda: now(page) > SIREN_S - 4, 20, "the siren to play")
    expect(page.locator("[data-event-words]")).to_contain_text("Siren, 5:")
    page.get_by_role("link", name="Open", exact=True).click()
    expect_siren_open(page)


def test_a_new_start_changes_the_clock_times_of_the_sounds(
    page: Page, server: Server, recording: dict
) -> None:
    show(page, server, recording)
    page.get_by_text("Edit the start of the recording").click()
    page.get_by_label("Start").fill("2024-05-01T05:30:00")
    page.locator("#recorded").get_by_role("button", name="Save").click()
    expect(page.locator("header.answer")).to_contain_text("Recorded 1 May 2024, 05:30")
    expect(page.locator(".event", has_text="Siren")).to_contain_text(re.compile("05:35:2"))


def test_the_view_stays_with_what_is_looked_at(page: Page, server: Server, recording: dict) -> None:
    """Zooming keeps the middle of the view if the playhead is elsewhere; skipping follows it."""
    show(page, server, recording)
    for _ in range(3):
        page.keyboard.press("+")
    middle = """travel => (travel.scrollLeft + travel.clientWidth / 2) / travel.scrollWidth"""
    view = page.locator("[data-travel]")
    view.evaluate("travel => { travel.scrollLeft = travel.scrollWidth / 2 }")
    before = view.evaluate(middle)
    page.keyboard.press("+")
    assert view.evaluate(middle) == pytest.approx(before, abs=0.005)
    page.keyboard.press("ArrowRight")
    assert view.evaluate(middle) < 0.1


def test_zoom_draws_the_spectrogram_in_more_detail(
    page: Page, server: Server, recording: dict
) -> None:
    show(page, server, recording)
    page.wait_for_timeout(500)
    expect(page.locator(".tile")).to_have_count(0)
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    tile = page.locator(".tile").first
    expect(tile).to_be_visible(timeout=60_000)
    columns, from_s, to_s = tile.evaluate(
        "tile => [tile.naturalWidth, Number(tile.dataset.from), Number(tile.dataset.to)]"
    )
    assert columns / (to_s - from_s) > 5 * OVERVIEW_COLUMNS / RECORDING_S
    assert page.locator("[data-time-axis] text").count() < 60
    for _ in range(4):
        page.keyboard.press("-")
    expect(page.locator(".tile")).to_have_count(0)


ADD_EVENTS = """
import random
from classifier.models import Analysis, Clip, Event
analysis = Analysis.objects.get(pk="{pk}")
labels = [one["class"] for one in analysis.predictions][:12]
draw = random.Random(1)
starts_s = sorted(draw.uniform(0, 3590) for _ in range(1000))
Event.objects.filter(analysis=analysis).delete()
Event.objects.bulk_create(
    Event(analysis=analysis, label=draw.choice(labels), start_s=s, end_s=s + 4, peak_s=s + 2,
          confidence=draw.uniform(0.3, 1))
    for s in starts_s
)
Analysis.objects.filter(pk=analysis.pk).update(event_count=1000)
Clip.objects.filter(pk=analysis.clip_id).update(duration_s=3600)
"""


def test_a_thousand_events_need_few_nodes_and_a_phone_shows_them(
    page: Page, server: Server, listener: Person
) -> None:
    """An hour, two themes and two widths; the page is accessible in each."""
    sound = fixtures.encode(fixtures.noise(8.0, RATE_HZ, level=0.1, seed=8), RATE_HZ)
    hour = listener.wait(listener.submit("hour.wav", sound))
    server.manage("shell", "--no-imports", "-c", ADD_EVENTS.format(pk=hour["id"]))
    show(page, server, hour)
    expect(page.locator("h1")).to_have_text("1,000 sounds in 1:00:00")
    expect(page.locator(".event")).to_have_count(50)
    assert page.evaluate("document.querySelectorAll('*').length") <= MAX_NODES
    lanes = page.locator("[data-lane-names] li")
    assert lanes.count() == 12 and lanes.locator("visible=true").count() == 8
    page.get_by_role("button", name="Show all 12 lanes").click()
    assert lanes.locator("visible=true").count() == 12
    # The lanes have no tab stop per event, and the table has one.
    assert page.evaluate(TAB_STOPS) == 1
    lanes.first.get_by_role("link").click()
    expect(lanes.first.get_by_role("link")).to_have_attribute("aria-current", "true")
    page.get_by_label("Confidence", exact=True).select_option("0.7")
    expect(page).to_have_url(re.compile("min_confidence=0.7"))
    lanes.nth(1).get_by_role("link").click()
    expect(lanes.nth(1).get_by_role("link")).to_have_attribute("aria-current", "true")
    expect(page).to_have_url(re.compile("min_confidence=0.7"))
    # The focus stays in the table when its links are replaced.
    page.get_by_role("link", name="Show all", exact=True).press("Enter")
    expect(page.get_by_text("Page 1 of 20")).to_be_visible()
    expect(page.locator(".event .what").first).to_be_focused()
    page.get_by_role("link", name="Next").press("Enter")
    expect(page.get_by_text("Page 2 of 20")).to_be_visible()
    expect(page.get_by_role("link", name="Next")).to_be_focused()
    check_everywhere(page)


def check_everywhere(page: Page) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci")
    axe = AXE.read_text()
    for scheme in ("light", "dark"):
        for width in (1440, 360):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(300)
            page.evaluate(axe)
            found = page.evaluate("axe.run({preload: false})")
            assert [(one["id"], one["nodes"][0]["target"]) for one in found["violations"]] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
