"""Inside the network, on the result page: cells and their patches, stages, enlarged maps."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, Position, expect

from tests.result_page import clock, show, shown_explanation
from tests.server import Person, Server, wait_for


def top_of(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return box["y"]


def test_a_cell_shows_its_patch_on_the_spectrogram_and_plays_it(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown_explanation(page)
    layer4 = page.locator(".station [data-map]").nth(4)
    layer4.scroll_into_view_if_needed()
    box = layer4.bounding_box()
    assert box
    # The map has 4×10 cells; this one is in the fourth column and the lowest row.
    cell: Position = {"x": box["width"] * 0.35, "y": box["height"] * 0.9}
    layer4.hover(position=cell)
    patch = page.locator(".picture [data-patch]")
    expect(patch).to_be_visible()
    expect(page.locator("[data-input] [data-patch]")).to_be_visible()
    drawn, picture = patch.bounding_box(), page.locator("[data-picture]").bounding_box()
    assert drawn and picture
    # A cell of layer4 is centred on every 32nd frame, of 16 ms each.
    start, end = ((32 * 3 + side * 16) * 0.016 / 5 for side in (-1, 1))
    assert (drawn["x"] - picture["x"]) / picture["width"] == pytest.approx(start, abs=0.01)
    assert drawn["width"] / picture["width"] == pytest.approx(end - start, abs=0.01)
    bottom = drawn["y"] + drawn["height"]
    assert bottom == pytest.approx(picture["y"] + picture["height"], abs=2)
    tip = page.locator(".tip")
    expect(tip).to_contain_text("1.28 to 1.79 s")
    expect(tip).to_contain_text("activation")

    layer4.click(position=cell)
    wait_for(lambda: 1.2 < clock(page) < 1.85, 20, "the patch to play")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert clock(page) < 2.2, "it stops at the end of the patch"
    swept = layer4.evaluate("e => Number(getComputedStyle(e).getPropertyValue('--at'))")
    assert swept == pytest.approx(clock(page) / 5, abs=0.06), "the playhead sweeps the map"


def test_cells_are_reached_with_the_keyboard(page: Page, server: Server, short: dict) -> None:
    show(page, server, short)
    page.locator("[data-open='stage-layer3']").focus()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("data-title", "layer4")
    tip, patch = page.locator(".tip"), page.locator(".picture [data-patch]")
    expect(patch).to_be_visible()
    before = tip.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(tip).to_be_visible()
    assert tip.inner_text() != before
    assert clock(page) == 0, "the arrow keys do not seek here"
    page.keyboard.press("Enter")
    wait_for(lambda: clock(page) > 1, 20, "the patch to play")
    page.keyboard.press("Tab")
    expect(tip).to_be_hidden()
    expect(patch).to_be_hidden()


def test_tooltips_disappear(page: Page, server: Server, short: dict) -> None:
    show(page, server, short)
    shown_explanation(page)
    layer2 = page.locator(".station [data-map]").nth(2)
    tip = page.locator(".tip")
    layer2.hover()
    expect(tip).to_be_visible()
    page.locator("#inside-title").hover()
    expect(tip).to_be_hidden()
    layer2.hover()
    expect(tip).to_be_visible()
    page.mouse.wheel(0, 150)
    expect(tip).to_be_hidden()
    layer2.hover()
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_the_page_stays_where_it_is_when_parts_open_and_close(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown_explanation(page)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    for name in ("layer1", "layer4", "layer2", "layer2"):
        summary = page.locator(f"#stage-{name} > summary")
        summary.scroll_into_view_if_needed()
        before = top_of(summary)
        summary.click()
        assert top_of(summary) == pytest.approx(before, abs=1), name
    button = page.locator("[data-open='stage-layer3']")
    for _ in range(2):
        button.scroll_into_view_if_needed()
        before = top_of(button)
        button.click()
        assert top_of(button) == pytest.approx(before, abs=1)


def test_an_enlarged_map_is_brought_into_view_and_leads_back(
    browser: Browser, listener: Person, short: dict
) -> None:
    phone = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True)
    listener.sign_in(phone)
    page = phone.new_page()
    show(page, listener.server, short)
    shown_explanation(page)
    enlarge = page.locator(".station [data-enlarge]").nth(4)
    layer4 = page.locator(".station [data-map]").nth(4)
    lane, patch = page.locator("[data-lane]"), page.locator(".picture [data-patch]")
    for pressed in (enlarge, layer4):
        pressed.scroll_into_view_if_needed()
        pressed.tap()
        expect(lane).to_be_in_viewport(ratio=1)
        expect(page.locator("[data-lane-caption]")).to_be_in_viewport(ratio=1)
        expect(page.locator("[data-lane-title]")).to_have_text("layer4")
        if pressed is layer4:
            expect(patch).to_be_visible()
        page.get_by_role("button", name="Back to the maps").tap()
        expect(pressed).to_be_in_viewport()
        expect(pressed).to_be_focused()
    phone.close()


def test_a_stage_opens_and_a_channel_is_enlarged_below_the_spectrogram(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown_explanation(page)
    expect(page.locator(".station")).to_have_count(8)
    page.get_by_role("button", name="6 blocks").click()
    stage = page.locator("#stage-layer3")
    expect(stage.locator("figure")).to_have_count(12 + 8)
    figure = stage.locator("figure").nth(12)
    figure.scroll_into_view_if_needed()
    wait_for(
        lambda: figure.locator("img").evaluate("i => i.complete && i.naturalWidth") == 20,
        20,
        "the channel's picture",
    )
    figure.get_by_role("button", name="Enlarge").click()
    lane = page.locator("[data-lane] canvas")
    expect(lane).to_be_visible()
    assert lane.evaluate("c => [c.height, c.width]") == [8, 20]
    # On the same time axis: the first cell is centred on the start.
    under, over = lane.bounding_box(), page.locator("[data-picture]").bounding_box()
    assert under and over
    cell = under["width"] / 20
    assert under["x"] + cell / 2 == pytest.approx(over["x"], abs=2)
    assert cell == pytest.approx(over["width"] * 16 * 0.016 / 5, rel=0.01)
    lane.hover()
    expect(page.locator(".picture [data-patch]")).to_be_visible()
    expect(page.locator(".tip")).to_have_text(
        re.compile(r"activation −?[\d.]+\n\d\.\d\d to \d\.\d\d s\n\S+ k?Hz to \S+ k?Hz")
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
