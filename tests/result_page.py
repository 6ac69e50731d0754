"""What the browser tests of the result page have in common."""

from playwright.sync_api import Locator, Page, Request, expect

from tests.server import Server


def show(page: Page, server: Server, analysis: dict, query: str = "") -> None:
    """Open the page of an analysis and wait until it can be played."""
    page.goto(f"{server.url}/analyses/{analysis['id']}/{query}")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()


def clock(page: Page) -> float:
    return float(page.locator("sono-scope [data-clock]").inner_text().split()[0])


def shown_explanation(page: Page) -> Locator:
    """Return the contour on the spectrogram, once it is there."""
    outline = page.locator("[data-outline]")
    expect(outline).to_be_visible(timeout=60_000)
    return outline


def show_parts(page: Page, server: Server, analysis: dict, query: str = "") -> None:
    """Open the page of an analysis and wait until its parts can be played."""
    show(page, server, analysis, query)
    expect(page.get_by_role("radio", name="Marked part")).to_be_visible(timeout=60_000)


def watch_posts(page: Page) -> list[str]:
    """Return a list to which the URL of each POST request of the page is added."""
    posts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            posts.append(request.url)

    page.on("request", note)
    return posts
