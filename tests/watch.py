"""Record what a page must not do."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page


class Watch:
    """Collects a page's errors.

    Attributes
    ----------
    faults : errors and warnings on the console, and requests to other hosts
    """

    def __init__(self, page: Page, host: str) -> None:
        self.faults: list[str] = []
        self.page = page
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self._request(request.url, host))

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium reports a page with status 404 as a failed load.
        itself = message.location["url"] == self.page.url
        if message.type in ("error", "warning") and not (itself and "status of 4" in message.text):
            self.faults.append(f"console: {message.text}")

    def _request(self, url: str, host: str) -> None:
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc != host:
            self.faults.append(f"request to another host: {url}")
