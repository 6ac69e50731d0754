"""The result page in a real browser, under the content security policy of the pages."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Page, Response, expect

from tests.result_page import clock, show
from tests.server import Server, wait_for


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
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_dragging_over_the_spectrogram_loops_the_selection(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    box = page.locator("[data-picture]").bounding_box()
    assert box
    transport = page.locator(".transport").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator("[data-loop-words]")).to_have_text(
        re.compile(r"^(0\.9\d|1\.0\d)–1\.[45]\d s$")
    )
    assert page.locator(".transport").bounding_box() == transport, "the player stays as it is"
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
