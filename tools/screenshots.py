"""Take a screenshot of every page: `python -m tools.screenshots` writes them to screenshots/.

`--only NAME …` selects pages. The accessibility test uses the same table of pages.
"""

import argparse
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.demo_data import SETTINGS, DemoData, create_demo_data
from tests.server import ROOT, Person, Server, chromium, wait_for

TARGET = ROOT / "screenshots"
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--use-fake-device-for-media-stream",  # a microphone that beeps, once it is permitted
]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES = {1440: 900, 360: 740}
MIN_DESKTOP_PX = 640
MAX_COLOURS = 128
# All pictures and fonts are loaded, also pictures outside the viewport and those that the page
# inserts later.
LOADED = """[...document.images].map(i => (i.loading = 'eager', i.complete)).every(Boolean)
  && document.fonts.status == 'loaded'"""


@dataclass(frozen=True, slots=True)
class View:
    """A page in one state.

    Attributes
    ----------
    path : with names of `DemoData.ids` in braces
    who : "user", "new_user" or "admin", or "" for a visitor who is not signed in
    ready : selector of an element that is visible once the page is loaded
    act : brings the page into its state
    whole : take the full page, not only the viewport
    """

    name: str
    path: str
    who: str = "user"
    ready: str = "main h1"
    act: Callable[[Page], None] | None = None
    whole: bool = True


def _wrong_password(page: Page) -> None:
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill("not this one")
    page.locator("main form button").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _try_too_often(page: Page) -> None:
    waits = page.get_by_role("heading", name="Too many attempts")
    for _ in range(11):
        page.get_by_label("Username").fill("somebody")
        page.get_by_label("Password").fill("not this one")
        page.locator("main form button").click()
        expect(page.get_by_role("alert")).to_be_visible()
        if waits.count():
            return
    expect(waits).to_be_visible()


def _open_stage(page: Page) -> None:
    page.get_by_role("button", name="4 blocks").click()
    channel = page.locator("#stage-layer2 figure").nth(9)
    channel.scroll_into_view_if_needed()
    expect(channel.locator("img")).to_have_js_property("naturalWidth", 40)
    channel.get_by_role("button", name="Enlarge").click()
    expect(page.locator("[data-lane]")).to_be_visible()


def _weak_password(page: Page) -> None:
    page.get_by_label("Username").fill("mara")
    page.locator("[name=password1]").fill("12345678")
    page.locator("[name=password2]").fill("12345678")
    page.locator("main form button").click()
    expect(page.get_by_role("alert").first).to_be_visible()


def _make_token(page: Page) -> None:
    page.locator("[name=name]").fill("night recorder")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("[data-secret]")).to_be_visible()


def _make_reset_link(page: Page) -> None:
    page.get_by_role("button", name="Create the link").click()
    expect(page.locator(".reset-link")).to_be_visible()


def _choose_to_delete_data(page: Page) -> None:
    for box in page.locator("#result_list tbody [type=checkbox]").all():
        box.check()
    page.locator("[name=action]").select_option("delete_data")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("button", name="Delete the data")).to_be_visible()


def _tag_rows(page: Page) -> None:
    for tick in page.locator(".history-rows input").all()[:3]:
        tick.check()
    page.locator(".bulk summary", has_text="Tag").click()
    page.locator(".bulk input[name=tag]").fill("lake")
    page.locator(".bulk button", has_text="Add").click()
    for tick in page.locator(".history-rows input").all()[:2]:
        tick.check()
    page.locator(".bulk summary", has_text="Export").click()
    expect(page.get_by_role("button", name="Download")).to_be_visible()


def _save_filter(page: Page) -> None:
    page.locator(".saved-filters summary").click()
    page.locator(".save-filter input[name=name]").fill("Sure of rain")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".saved-filters summary").click()


def _delete_rows(page: Page) -> None:
    page.locator(".history-rows input").first.check()
    page.locator(".bulk > .bulk-actions > button", has_text="Delete").click()
    expect(page.get_by_role("heading", name="Delete 1 sound?")).to_be_visible()


def _send_nothing(page: Page) -> None:
    page.evaluate("document.querySelector('form.drop').submit()")
    expect(page.locator(".refused")).to_be_visible()


def _refuse_microphone(page: Page) -> None:
    page.get_by_role("button", name="Record").click()
    expect(page.locator("[data-refusal]")).to_be_visible()


def _record(page: Page) -> None:
    page.context.grant_permissions(["microphone"])
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))


def _record_and_stop(page: Page) -> None:
    _record(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    playable = "document.querySelector('audio').duration < 60"
    wait_for(lambda: page.evaluate(playable), 10, "the recording")


def _choose_folder(page: Page) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "night at the pier"
        folder.mkdir()
        for minute in range(0, 60, 10):
            (folder / f"02-{minute:02d}.wav").write_bytes(bytes(400_000 + 9_000 * minute))
        (folder / "broken.wav").touch()
        for name in ("notes.txt", "pier.jpg", ".DS_Store"):
            (folder / name).write_bytes(b"left out")
        page.set_input_files("#folder", folder)
        expect(page.locator("[data-send]")).to_be_visible()


def _share(page: Page) -> None:
    page.locator("#actions > summary").click()
    page.locator("#share > summary").click()
    expect(page.get_by_role("button", name="Revoke the link")).to_be_visible()


def _choose_class(page: Page) -> None:
    page.keyboard.press("n")
    expect(page.get_by_role("combobox")).to_be_focused()


def _try_nothing(page: Page) -> None:
    page.evaluate("document.querySelector('.try form').submit()")
    expect(page.get_by_role("heading", name="The sound was not accepted")).to_be_visible()


def _show_keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


VIEWS = (
    View("front", "/", "", ready="[data-outline]"),
    View("front-refused", "/", "", act=_try_nothing),
    View("visitor-result", "/s/{visitor}/", "", ready="[data-outline]"),
    View("sign-in", "/account/sign-in/", ""),
    View("sign-in-wrong", "/account/sign-in/", "", act=_wrong_password),
    View("sign-in-locked", "/account/sign-in/", "", act=_try_too_often),
    View("sign-up", "/account/sign-up/", ""),
    View("sign-up-weak", "/account/sign-up/", "", act=_weak_password),
    View("password-forgotten", "/account/reset/", ""),
    View("password-sent", "/account/reset/sent/", ""),
    View("password-reset", "{reset_link}", ""),
    View("password-link-ended", "/account/reset/none/none/", ""),
    View("password-changed", "/account/reset/done/", ""),
    View("upload", "/"),
    View("upload-empty", "/", "new_user"),
    View("upload-recording", "/", act=_record),
    View("upload-recorded", "/", act=_record_and_stop),
    View("upload-no-microphone", "/", "new_user", act=_refuse_microphone),
    View("refused", "/", "new_user", act=_send_nothing),
    View("history", "/history/"),
    View("history-selected", "/history/", act=_tag_rows, whole=False),
    View(
        "history-filters",
        "/history/?min_confidence=20&max_length=60&state=done&sort=confidence",
        act=_save_filter,
        whole=False,
    ),
    View("history-wrong-filter", "/history/?state=nonsense&min_confidence=101"),
    View("history-delete", "/history/", act=_delete_rows),
    View("history-nothing-fits", "/history/?name=thunder&state=done"),
    View("history-empty", "/history/", "new_user"),
    View("checked", "/checked/"),
    View("checked-empty", "/checked/", "new_user"),
    View("judgement", "/analyses/{siren}/judgement/"),
    View("keys", "/history/", act=_show_keys, whole=False),
    View("result", "/analyses/{siren}/"),
    View("result-choosing", "/analyses/{siren}/", act=_choose_class, whole=False),
    View("result-inside", "/analyses/{church_bells}/", act=_open_stage),
    View("result-long", "/analyses/{dawn-at-the-lake}/"),
    View("result-share", "/analyses/{siren}/", act=_share, whole=False),
    View("shared", "/s/{shared}/", ""),
    View("result-waiting", "/analyses/{waiting}/"),
    View("result-failed", "/analyses/{field-notes}/"),
    View("batches", "/batches/"),
    View("batches-empty", "/batches/", "new_user"),
    View("batch-new", "/batches/new/"),
    View("batch-plan", "/batches/new/", act=_choose_folder),
    View("batch", "/batches/{batch}/"),
    View("batch-folder", "/batches/{batch}/?folder=monday"),
    View("batch-notice", "/batches/", "admin"),
    View("batch-waiting", "/batches/{waiting_batch}/"),
    View("models", "/models/"),
    View("api", "/api/docs/", whole=False),
    View("api-signed-out", "/api/docs/", "", whole=False),
    View("account", "/account/"),
    View("account-empty", "/account/", "new_user"),
    View("account-token", "/account/", act=_make_token),
    View("account-delete", "/account/delete/"),
    View("account-email", "/account/email/"),
    View("password", "/account/password/"),
    View("admin-sign-in", "/admin/login/", ""),
    View("admin", "/admin/", "admin"),
    View("admin-analyses", "/admin/classifier/analysis/", "admin"),
    View("admin-failed", "/admin/classifier/analysis/?state__exact=failed", "admin"),
    View("admin-analysis", "/admin/classifier/analysis/{siren}/change/", "admin"),
    View("admin-clips", "/admin/classifier/clip/", "admin"),
    View("admin-batches", "/admin/classifier/batch/", "admin"),
    View("admin-batch", "/admin/classifier/batch/{batch}/change/", "admin"),
    View("admin-users", "/admin/auth/user/", "admin"),
    View("admin-user", "/admin/auth/user/{admin}/change/", "admin"),
    View("admin-reset-link", "/admin/auth/user/{admin}/reset-link/", "admin", act=_make_reset_link),
    View("admin-delete-data", "/admin/auth/user/", "admin", act=_choose_to_delete_data),
    View("admin-user-delete", "/admin/auth/user/{admin}/delete/", "admin"),
    View("admin-attempts", "/admin/axes/accessattempt/", "admin"),
    View("not-found", "/nowhere/"),
    View("fault", "/history/?" + "a=&" * 1001),
)


@contextmanager
def launched_browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        sys.exit("Chromium is not installed; install it or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        yield browser
        browser.close()


def visit_views(
    browser: Browser, demo: DemoData, scheme: Scheme, views: tuple[View, ...] = VIEWS
) -> Iterator[tuple[Page, View, int]]:
    """Yield the page, view and width of each view, once it is loaded."""
    people = {"user": demo.user, "new_user": demo.new_user, "admin": demo.admin}
    for who in ("", *people):
        person = people.get(who)
        pages = {width: new_page(browser, scheme, person, width) for width in SIZES}
        for view in views:
            if view.who != who:
                continue
            for width, page in pages.items():
                show(page, demo, view)
                yield page, view, width
        for page in pages.values():
            page.context.close()


def new_page(browser: Browser, scheme: Scheme, person: Person | None, width: int) -> Page:
    """Return an empty page, signed in as a person if there is one; a phone is used by touch."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]},
        has_touch=width < MIN_DESKTOP_PX,
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    if person:
        person.sign_in(context)
    return context.new_page()


def show(page: Page, demo: DemoData, view: View) -> None:
    page.goto(demo.server.url + view.path.format(**demo.ids))
    expect(page.locator(view.ready).first).to_be_visible(timeout=30_000)
    if view.act:
        view.act(page)
    load_pictures(page)


def load_pictures(page: Page) -> None:
    """Wait until all pictures and fonts are loaded, also those outside the viewport."""
    wait_for(lambda: page.evaluate(LOADED), 20, f"the pictures of {page.url}", every_s=0.05)


def take_screenshot(page: Page, whole: bool = True) -> bytes:
    """Return a PNG with few colours, of the full page or only of the viewport."""
    window = page.viewport_size
    assert window
    if whole:
        # Chromium's own picture of a full page forgets that the page is used by touch.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": window["width"], "height": height})
    taken = page.screenshot(animations="disabled", caret="hide")
    page.set_viewport_size(window)
    small = io.BytesIO()
    reduce_colours(Image.open(io.BytesIO(taken)).convert("RGB")).save(small, "PNG", optimize=True)
    return small.getvalue()


def reduce_colours(picture: Image.Image) -> Image.Image:
    """Reduce a picture to `MAX_COLOURS`, so that the files stay small.

    Half of them are the most common colours, unchanged, because Pillow would only approximate the
    colours of the interface.
    """
    red, green, blue = np.moveaxis(np.asarray(picture).astype(np.int32), 2, 0)
    codes, ids, counts = np.unique(
        red << 16 | green << 8 | blue, return_inverse=True, return_counts=True
    )
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    common = colours[np.argsort(-counts)[: MAX_COLOURS // 2]]
    mixed = picture.quantize(MAX_COLOURS // 2, method=Image.Quantize.MEDIANCUT).getpalette()
    chosen = np.concatenate([common, np.array(mixed).reshape(-1, 3)])
    nearest = np.square(colours[:, None] - chosen[None]).sum(axis=2).argmin(axis=1)
    few = Image.fromarray(nearest.astype(np.uint8)[ids.reshape(red.shape)], "P")
    few.putpalette(chosen.astype(np.uint8).tobytes())
    return few


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[view.name for view in VIEWS])
    parser.add_argument("--to", type=Path, default=TARGET)
    options = parser.parse_args()
    views = tuple(view for view in VIEWS if not options.only or view.name in options.only)
    options.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched_browser() as browser:
        server = Server(Path(folder) / "server", **SETTINGS)
        try:
            server.open()
            demo = create_demo_data(server)
            for scheme in SCHEMES:
                for page, view, width in visit_views(browser, demo, scheme, views):
                    path = options.to / f"{view.name}-{scheme}-{width}.png"
                    path.write_bytes(take_screenshot(page, view.whole))
                    print(path.name, flush=True)
        finally:
            server.close()


if __name__ == "__main__":
    main()
