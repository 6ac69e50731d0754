"""The result page in a real browser, under the content security policy of the pages."""

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import Browser, Locator, Page, Request, Response, expect

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from tests import fixtures
from tests.server import PASSWORD, Person, Server, wait_for
from tests.test_browser import Watch

LONG_S = 20.0


@pytest.fixture(scope="module")
def listener(server: Server) -> Person:
    return server.person()


@pytest.fixture(scope="module")
def short(listener: Person) -> dict:
    sound = fixtures.chirp(300, 5000, 5.0)
    return listener.wait(listener.submit("rising.wav", fixtures.encode(sound)))


@pytest.fixture(scope="module")
def long(listener: Person) -> dict:
    parts = [
        fixtures.noise(5.0),
        fixtures.chirp(200, 8000, 5.0),
        fixtures.clicks(4, 5.0),
        fixtures.tone(900, 5.0),
    ]
    return listener.wait(listener.submit("walk.wav", fixtures.encode(np.concatenate(parts))))


@pytest.fixture
def page(server: Server, browser: Browser, listener: Person) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    page.goto(f"{server.url}/account/sign-in/")
    page.get_by_label("Username").fill(listener.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    yield page
    assert watch.faults == []
    context.close()


def show(page: Page, server: Server, analysis: dict, query: str = "") -> None:
    page.goto(f"{server.url}/analyses/{analysis['id']}/{query}")
    expect(page.get_by_role("button", name="Play")).to_be_enabled()


def clock(page: Page) -> float:
    return float(page.locator("[data-clock]").inner_text().split()[0])


def playhead(page: Page) -> float:
    """Return the playhead's position on the time axis, 0 to 1."""
    head = page.locator("[data-playhead]").bounding_box()
    course = page.locator("[data-course]").bounding_box()
    assert head and course
    return (head["x"] - course["x"]) / course["width"]


def test_a_click_and_the_arrow_keys_seek_and_move_the_playhead(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    box = page.locator("[data-picture]").bounding_box()
    assert box
    page.locator("[data-picture]").click(position={"x": box["width"] / 2, "y": 60})
    expect(page.locator("[data-clock]")).to_have_text(re.compile(r"^2\.(49|5\d)"))
    assert playhead(page) == pytest.approx(0.5, abs=0.01)
    # Two at once: the second must not be lost while the first seek is in progress.
    page.evaluate(
        """() => { for (const key of ["ArrowRight", "ArrowRight"])
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })) }"""
    )
    expect(page.locator("[data-clock]")).to_have_text(re.compile(r"^2\.(69|7\d) s$"))
    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 2.9, 20, "playback to continue")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_dragging_over_the_spectrogram_loops_the_selection(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    box = page.locator("[data-picture]").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator("[data-loop]")).to_have_text(
        re.compile(r"^Loop (0\.9\d|1\.0\d)–1\.[45]\d s$")
    )
    page.keyboard.press("Space")
    seen = []
    for _ in range(25):
        page.wait_for_timeout(80)
        seen.append(clock(page))
    assert max(seen) < 1.8
    assert any(later < earlier for earlier, later in pairwise(seen))
    page.keyboard.press("Space")
    page.keyboard.press("l")
    expect(page.locator("[data-loop-range]")).to_be_hidden()


def test_zoom_widens_all_parts_of_the_time_axis(page: Page, server: Server, short: dict) -> None:
    show(page, server, short)
    before = page.locator("[data-picture]").bounding_box()
    assert before
    ticks = page.locator("[data-time-axis] text").count()
    page.keyboard.press("+")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("[data-zoom-level]")).to_have_text("4×")
    for part in ("[data-picture]", "[data-wave]", "[data-time-axis]"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["width"] == pytest.approx(4 * before["width"], rel=0.01), part
    assert page.locator("[data-time-axis] text").count() > ticks
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()


def test_the_readout_shows_seconds_hertz_and_decibels(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    box = page.locator("[data-picture]").bounding_box()
    assert box
    # A chirp from 300 to 5,000 Hz: at the middle it is at 2,650 Hz, and loud.
    analysed = []
    for step in range(0, int(box["height"]), 4):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + step)
        words = page.locator("[data-readout]").inner_text().split()
        hertz = float(words[2]) * (1000 if words[3] == "kHz" else 1)
        assert float(words[0]) == pytest.approx(2.5, abs=0.03)
        analysed.append((float(words[4].replace("−", "-")), hertz))
    level, hertz = max(analysed)
    assert hertz == pytest.approx(2650, rel=0.1)
    assert level > sorted(analysed)[len(analysed) // 2][0] + 20


def shown_attribution(page: Page) -> Locator:
    """Return the attribution over the spectrogram, once its picture is there."""
    shown = page.locator("[data-attribution]:visible")
    expect(shown).to_have_count(1, timeout=60_000)
    expect(shown).not_to_have_js_property("naturalWidth", 0, timeout=60_000)
    return shown


def watch_posts(page: Page) -> list[str]:
    """Return a list to which the URL of each POST request of the page is added."""
    posts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            posts.append(request.url)

    page.on("request", note)
    return posts


def test_the_page_asks_once_for_the_explanation_and_shows_it(
    page: Page, server: Server, listener: Person
) -> None:
    sound = fixtures.chirp(5000, 300, 5.0)
    analysis = listener.wait(listener.submit("falling.wav", fixtures.encode(sound)))
    posts = watch_posts(page)
    show(page, server, analysis)
    before = page.locator("[data-opacity-row]").bounding_box()
    shown_attribution(page)
    assert page.locator("[data-opacity-row]").bounding_box() == before, "nothing moves"
    assert len(posts) == 1 and posts[0].endswith("/inspections/")
    best = page.locator(".answer-button").first
    expect(page.locator("[data-explain]:visible")).to_contain_text("Bright parts contributed")
    page.get_by_role("button", name="3 blocks").last.click()
    strongest = page.locator("#stage-layer4 [data-strongest] figure")
    expect(strongest).to_have_count(8)
    expect(strongest.first).to_contain_text("contribution")
    first = strongest.all_inner_texts()
    expect(best).to_have_attribute("aria-pressed", "true")

    page.keyboard.press("2")
    expect(page.locator("[data-explain='2'] [data-picture-url]")).to_have_count(1, timeout=60_000)
    expect(page.locator("[data-attribution='2']")).to_be_visible()
    name = page.locator("[data-explain='2']").get_attribute("data-name")
    heading = page.locator("#stage-layer4 h3").last
    expect(heading).to_have_text(f"Channels that contribute most to “{name}”")
    assert strongest.all_inner_texts() != first
    page.keyboard.press("1")
    assert strongest.all_inner_texts() == first
    assert len(posts) == 2, "each class is asked for once"


def test_a_second_visit_shows_the_explanation_without_asking(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown_attribution(page)
    posts = watch_posts(page)
    show(page, server, short)
    shown_attribution(page)
    page.wait_for_load_state("networkidle")
    assert posts == []


def test_a_failed_explanation_shows_its_problem_and_is_tried_again(
    page: Page, server: Server, listener: Person
) -> None:
    sound = fixtures.noise(5.0, seed=11)
    analysis = listener.wait(listener.submit("hiss.wav", fixtures.encode(sound)))
    server.stop("worker")
    show(page, server, analysis)
    state = page.locator("[data-explain]:visible")
    expect(state).to_contain_text("Waiting…")
    server.manage(
        "shell",
        "--no-imports",
        "-c",
        "from classifier.models import Inspection; "
        f"Inspection.objects.filter(analysis='{analysis['id']}').update(state='failed', "
        "error_code='broken', error_detail='The weights are broken.', error_hint='Try later.')",
    )
    expect(state).to_contain_text("The weights are broken.")
    expect(page.locator("[data-attribution]:visible")).to_have_count(0)
    server.start("worker")
    page.get_by_role("button", name="Try again").click()
    shown_attribution(page)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_attribution_is_shown_for_one_class_at_a_time_and_can_be_hidden(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown = shown_attribution(page)
    first = page.locator(".answer-button").first
    expect(first).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("3")
    expect(shown).to_have_count(1)
    expect(shown).to_have_attribute("data-attribution", "3")
    expect(first).to_have_attribute("aria-pressed", "false")
    page.locator("[data-opacity]").fill("20")
    expect(shown).to_have_css("opacity", "0.2")
    page.get_by_role("button", name="Hide").click()
    expect(shown).to_have_count(0)
    first.click()
    expect(shown).to_have_attribute("data-attribution", "1")


def test_only_the_attribution_is_played_and_it_matches_the_map(
    page: Page, server: Server, listener: Person, short: dict
) -> None:
    show(page, server, short)
    page.locator("[data-hear='1'] button").click()
    expect(page.locator("[data-hear='1'] .parts dd")).to_have_count(3, timeout=60_000)
    kept = page.locator("[data-kept]").get_attribute("data-kept")
    rest = page.locator("[data-rest]").get_attribute("data-rest")
    assert kept and rest

    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 0.3, 20, "the original to play")
    page.get_by_role("radio", name="Attribution only").click()
    at = clock(page)
    wait_for(lambda: clock(page) > at + 0.2, 20, "playback to continue with the attribution")
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="The rest")).to_be_checked()
    page.keyboard.press("Space")

    # Cells with high attribution are louder in `kept` than in `rest`.
    drawn = page.evaluate(
        """() => { const image = document.querySelector("[data-attribution='1']");
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
        const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
        return [height, width, Array.from(data).filter((_, at) => at % 4 == 3)]; }"""
    )
    attribution = np.flipud(np.reshape(drawn[2], drawn[:2])) / 255
    decibels = [mel_decibels(listener.get(address).content, drawn[:2]) for address in (kept, rest)]
    above = decibels[0] - decibels[1]
    loud = np.maximum(*decibels) > -60
    most, least = np.quantile(attribution[loud], [0.9, 0.3])
    assert (
        above[loud & (attribution >= most)].mean()
        > above[loud & (attribution <= least)].mean() + 20
    )


def mel_decibels(flac: bytes, size: tuple[int, int]) -> np.ndarray:
    """Return the sound's log-mel spectrogram, resized to the attribution's cells."""
    samples, _ = soundfile.read(io.BytesIO(flac), dtype="float32")
    decibels = LogMel(FeatureConfig()).decibels(torch.from_numpy(samples)[None])
    return torch.nn.functional.interpolate(decibels, size, mode="area")[0, 0].numpy()


def test_a_stage_opens_and_a_channel_is_shown_below_the_spectrogram(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    expect(page.locator(".station")).to_have_count(8)
    page.get_by_role("button", name="6 blocks").click()
    stage = page.locator("#stage-layer3")
    expect(stage.locator("figure")).to_have_count(12 + 8)
    stage.locator("figcaption", has_text="channel").first.scroll_into_view_if_needed()
    channel = stage.locator("button[data-map]").nth(12)
    wait_for(
        lambda: channel.locator("img").evaluate("i => i.complete && i.naturalWidth") == 20,
        20,
        "the channel's picture",
    )
    channel.click()
    lane = page.locator("[data-lane] canvas")
    expect(lane).to_be_visible()
    assert lane.evaluate("c => [c.height, c.width]") == [8, 20]
    # On the same time axis.
    for edge in ("x", "width"):
        under, over = lane.bounding_box(), page.locator("[data-picture]").bounding_box()
        assert under and over
        assert under[edge] == pytest.approx(over[edge], abs=2)
    lane.hover()
    expect(page.locator("[data-readout]")).to_have_text(
        re.compile(r"^\d\.\d\d s +\S+ k?Hz +−?[\d.]+$")
    )
    page.locator("[data-lane-close]").click()
    expect(lane).to_be_hidden()


def test_all_channels_are_shown_on_request(page: Page, server: Server, short: dict) -> None:
    show(page, server, short)
    page.get_by_role("button", name="3 blocks").last.click()
    stage = page.locator("#stage-layer4")
    stage.get_by_role("button", name="Show all channels").click()
    sheet = stage.locator("img[data-sheet]")
    expect(sheet).to_be_visible(timeout=60_000)
    stage.get_by_label("Channel", exact=True).fill("511")
    stage.get_by_label("Channel", exact=True).press("Enter")
    expect(page.locator("[data-lane-title]")).to_have_text("layer4, channel 511")


def test_each_window_of_a_long_clip_can_be_inspected(
    page: Page, server: Server, long: dict
) -> None:
    show(page, server, long)
    windows = page.locator(".slots a")
    assert windows.count() == 7
    shown = page.locator(".slots a[aria-current]")
    expect(shown).to_have_count(1)
    other = "5" if shown.get_attribute("data-window") != "5" else "1"
    page.locator(f".slots a[data-window='{other}']").click()
    expect(page.locator(".station")).to_have_count(8, timeout=60_000)
    expect(shown).to_have_attribute("data-window", other)
    attribution = shown_attribution(page).bounding_box()
    course = page.locator("[data-course]").bounding_box()
    assert attribution and course
    start = 2.5 * int(other) / LONG_S
    assert (attribution["x"] - course["x"]) / course["width"] == pytest.approx(start, abs=0.01)
    assert attribution["width"] / course["width"] == pytest.approx(5 / LONG_S, abs=0.01)
    page.reload()
    expect(page.locator(".station")).to_have_count(8)
    expect(shown).to_have_attribute("data-window", other)


def test_the_first_view_stays_below_350_kb_and_1500_dom_nodes(
    page: Page, server: Server, short: dict
) -> None:
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto("about:blank")
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    show(page, server, short)
    page.wait_for_load_state("networkidle")
    sizes = {
        response.url: response.request.sizes()["responseBodySize"]
        for response in responses
        if not response.url.endswith(("/audio", ".flac"))
    }
    assert sum(sizes.values()) <= 350_000, sizes
    assert page.evaluate("document.querySelectorAll('*').length") <= 1500
