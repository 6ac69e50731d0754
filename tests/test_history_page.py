"""The history page in a browser: filter, select, play, export."""

import csv
from typing import Any

from playwright.sync_api import Page, expect

from tests import fixtures
from tests.server import Person, Server


def test_filtered_and_selected_rows_are_the_rows_of_the_export(
    server: Server, page: Page, listener: Person
) -> None:
    made: dict[str, Any] = {}
    for number in range(3):
        name = f"pond {number}.wav"
        sound = fixtures.chirp(400 + 300 * number, 4000, 3.0)
        made[name] = listener.wait(listener.submit(name, fixtures.encode(sound)))
    page.goto(f"{server.url}/history/")
    page.keyboard.press("/")
    page.keyboard.type("pond")
    page.keyboard.press("Enter")
    rows = page.locator(".history-rows .row")
    expect(rows).to_have_count(3)
    expect(page.locator(".chips a").first).to_have_text("Name: pond: remove this filter")
    actions = page.locator(".bulk-actions")
    expect(actions).to_be_hidden()

    page.keyboard.press("j")
    page.keyboard.press("Space")
    expect(rows.first.get_by_role("button", name="Play pond 2.wav")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(rows.first.locator(".strip[data-playing]")).to_have_count(1)
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selected]")).to_have_text("2 selected")
    ticked = page.locator(".history-rows input:checked")
    selected = {tick.input_value() for tick in ticked.all()}
    assert selected == {made["pond 2.wav"]["id"], made["pond 1.wav"]["id"]}

    def exported(form: str) -> list[str]:
        if not actions.get_by_label("Format").is_visible():
            actions.get_by_text("Export", exact=True).click()
        actions.get_by_label("Format").select_option(label=form)
        with page.expect_download() as download:
            actions.get_by_role("button", name="Download").click()
        with download.value.path().open(newline="") as file:
            return [line["analysis"] for line in csv.DictReader(file)]

    shown = [row.get_attribute("data-analysis") for row in rows.all()]
    assert exported("Sounds (table): CSV") == shown[:2]
    with_events = {one["id"] for one in made.values() if one["event_count"]}
    assert set(exported("Events: CSV")) == selected & with_events
    page.get_by_label("All 3 that match").check()
    assert exported("Sounds (table): CSV") == shown
    page.get_by_label("All 3 that match").press("Enter")  # presses no button
    actions.locator("summary", has_text="Tag").click()
    actions.get_by_label("Tag").fill("lake")
    page.keyboard.press("Enter")
    expect(page.locator(".message")).to_have_text("The tag “lake” was added to 3 sounds.")
