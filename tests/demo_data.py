"""Users with data for every page, for the screenshots and the accessibility test."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import requests

from tests import fixtures
from tests.server import Person, Server, wait_for

SAMPLES = ("church_bells", "siren", "door_wood_knock")
# The long lease allows for a slow machine. The pages about e-mail exist only if there is an SMTP
# server; nothing is sent to it.
SETTINGS = {
    "LEASE_S": "60",
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_FROM": "Sonoscope <sounds@example.org>",
}
DAMAGED = fixtures.encode(fixtures.noise(2.0), form="FLAC")[:600]


@dataclass(frozen=True, slots=True)
class DemoData:
    """A server with three users: one with data, a new one and an administrator.

    Attributes
    ----------
    ids : ids of objects by name, for the paths of pages
    """

    server: Server
    user: Person
    new_user: Person
    admin: Person
    ids: dict[str, str] = field(default_factory=dict)


def create_demo_data(server: Server) -> DemoData:
    """Create data for every page, then stop the worker so that waiting clips keep waiting."""
    demo = DemoData(server, Person(server, "mara"), Person(server, "jonas"), Person(server, "ada"))
    user, ids = demo.user, demo.ids
    finished = _batch(user, "Garden box, first week of May", _week())
    ids["batch"] = finished
    _wait_for_batch(user, finished)
    user.page(f"/batches/{finished}/")  # seen, so that no page announces it
    night = _batch(demo.admin, "Night at the pier", {"02-00.wav": _frogs(7)})
    _wait_for_batch(demo.admin, night)
    for name, data in _recordings().items():
        ids[name.partition(".")[0]] = _id(user.submit(name, data))
    for name in SAMPLES:
        ids[name] = user.post_page(f"/samples/{name}/").url.rstrip("/").rpartition("/")[2]
    for name in set(ids) - {"batch"}:
        user.wait(f"/api/v1/analyses/{ids[name]}/", limit_s=300)
    for name in (*SAMPLES, "dawn-at-the-lake"):
        _open(user, ids[name])
    ids["shared"] = user.post_json(f"/api/v1/analyses/{ids['siren']}/share/")["token"]
    for name, label in (("siren", "siren"), ("door_wood_knock", "footsteps")):
        user.post_page(f"/analyses/{ids[name]}/judgement/", label=label)
    events = user.get(f"/api/v1/analyses/{ids['dawn-at-the-lake']}/events/").json()["results"]
    for event, label in zip(events, ("rain", "chirping_birds"), strict=False):
        user.post_page(f"/events/{event['id']}/judgement/", label=label)
    ids["visitor"] = _visit(server)
    for name in ("garden box", "laptop"):
        user.post_page("/account/", name=name, expires_in_days="90")
    server.stop("worker")
    ids["waiting"] = _id(user.submit("rain-on-the-shed.flac", _rain()))
    evening = {f"2026-05-1{day}/pond.wav": _frogs(day) for day in range(4)}
    ids["waiting_batch"] = _batch(user, "Pond, four evenings", evening, close=False)
    for person in (user, demo.new_user, demo.admin):
        _revoke_unnamed_tokens(person)
    ids["admin"] = _make_admin(demo.admin)
    ids["reset_link"] = _reset_link(demo.new_user)
    return demo


def _visit(server: Server) -> str:
    """Wait for the front page's example, then try a sound; return the token of its result."""
    visitor = requests.Session()

    def page(path: str) -> str:
        return visitor.get(server.url + path, timeout=30).text

    wait_for(lambda: 'data-state="done"' in page("/"), 60, "the example")
    sent = {"csrfmiddlewaretoken": visitor.cookies["csrftoken"], "sample": "church_bells"}
    origin = {"Referer": server.url}
    made = visitor.post(f"{server.url}/try/", data=sent, headers=origin, timeout=30)
    path = urlsplit(made.url).path
    wait_for(lambda: 'data-state="done"' in page(path), 60, "the visitor's result")
    html = page(path)
    (asked,) = re.findall(r'hx-post="([^"]+)"[^>]*hx-trigger="load, submit">', html)
    sent |= {"kind": "explanation", "window": "0", "label": "church_bells"}
    visitor.post(server.url + asked, data=sent, headers=origin, timeout=30).raise_for_status()
    wait_for(lambda: "data-picture-url" in page(path), 60, "the explanation")
    return path.strip("/").rpartition("/")[2]


def _make_admin(person: Person) -> str:
    """Make a user an administrator and return their primary key."""
    code = (
        "from django.contrib.auth.models import User; "
        f"found = User.objects.filter(username='{person.name}'); "
        "found.update(is_staff=True, is_superuser=True); print(found.get().pk)"
    )
    return person.server.manage("shell", "--no-imports", "-c", code).split()[-1]


def _reset_link(person: Person) -> str:
    """Return the path of a link that resets the user's password."""
    code = (
        "from classifier import links; from django.contrib.auth.models import User; "
        f"print(links.password_reset(User.objects.get(username='{person.name}')))"
    )
    link = person.server.manage("shell", "--no-imports", "-c", code).split()[-1]
    return link.removeprefix(person.server.url)


def _open(person: Person, analysis_id: str) -> None:
    """Open a result page, request the inspections that its scripts request, wait for them all."""
    html = person.page(f"/analyses/{analysis_id}/").text
    for inspection in re.findall(r'hx-get="/inspections/([\w-]+)/part/', html):
        person.wait(f"/api/v1/inspections/{inspection}/", limit_s=300)
    for form in re.findall(r'hx-trigger="load, submit">(.*?)</form>', html, re.DOTALL):
        asked = dict(re.findall(r'name="(kind|window|label)" value="([^"]*)"', form))
        response = requests.post(
            f"{person.server.url}/api/v1/analyses/{analysis_id}/inspections/",
            json=asked,
            headers=person.headers,
            timeout=30,
        )
        _posted(response)
        person.wait(response.headers["Location"], limit_s=300)


def _revoke_unnamed_tokens(person: Person) -> None:
    """Revoke the token that `Person` created; the user has no API access afterwards."""
    rows = person.get("/api/v1/tokens/").json()["results"]
    for row in rows:
        if not row["name"]:
            person.post_page(f"/account/tokens/{row['id']}/revoke/")


def _id(location: str) -> str:
    return location.rstrip("/").rpartition("/")[2]


def _batch(person: Person, name: str, files: dict[str, bytes], close: bool = True) -> str:
    """Create a batch as the page's script does and return its id."""
    script = {"X-Requested-With": "fetch", "Referer": person.server.url}
    script["X-CSRFToken"] = person.browser.cookies["csrftoken"]
    root = f"{person.server.url}/batches/"
    made = _posted(person.browser.post(root, data={"name": name}, headers=script, timeout=30))
    url = person.server.url + made["url"]
    for path, data in files.items():
        sent = {"file": (path.rpartition("/")[2], data)}
        response = person.browser.post(
            f"{url}files/", data={"path": path}, files=sent, headers=script, timeout=30
        )
        _posted(response)
    if close:
        left_out = {"left_out": "3"}
        person.browser.post(f"{url}close/", data=left_out, headers=script, timeout=30)
    return _id(made["url"])


def _posted(response: requests.Response) -> dict[str, str]:
    assert response.ok, response.text
    return response.json()


def _wait_for_batch(person: Person, batch: str) -> None:
    def finished() -> bool:
        totals = person.get(f"/api/v1/batches/{batch}/").json()["totals"]
        return not totals["waiting"] and not totals["running"]

    wait_for(finished, 300, "the batch")


# --- recordings ---------------------------------------------------------------------------


def _recordings() -> dict[str, bytes]:
    """Return a long file, one of another sample rate and format, and one without audio."""
    parts = (
        fixtures.noise(7.0, level=0.04),
        fixtures.chirp(1800, 6500, 6.0) * 0.6,
        fixtures.clicks(6, 6.0),
        fixtures.noise(5.0, level=0.2, seed=3),
        fixtures.chirp(5200, 2400, 7.0) * 0.5,
    )
    long = np.concatenate(parts) + fixtures.noise(31.0, level=0.01, seed=9)
    return {
        "dawn-at-the-lake.flac": fixtures.encode(long.astype(np.float32), form="FLAC"),
        "kettle.mp3": fixtures.encode(_kettle(), rate_hz=44_100, form="MP3"),
        "field-notes.wav": b"buy batteries, and a longer cable\n" * 40,
    }


def _week() -> dict[str, bytes]:
    """Return one file for each outcome, and a few valid ones."""
    morning = fixtures.encode(fixtures.chirp(2500, 4800, 4.0) + fixtures.noise(4.0, level=0.02))
    return {
        "monday/05-10 hedge.wav": morning,
        "monday/05-40 hedge.wav": fixtures.encode(fixtures.noise(5.0, level=0.1, seed=4)),
        "tuesday/05-10 hedge.wav": fixtures.encode(fixtures.clicks(3, 5.0)),
        "tuesday/05-10 hedge (copy).wav": morning,
        "wednesday/21-00 gate.ogg": fixtures.encode(fixtures.tone(440, 3.0), form="OGG"),
        "wednesday/21-30 gate.flac": DAMAGED,
        "thursday/05-10 hedge.wav": b"",
    }


def _kettle() -> fixtures.Samples:
    hiss = fixtures.noise(6.0, 44_100, level=0.05) * np.linspace(
        0.2, 1, 6 * 44_100, dtype=np.float32
    )
    whistle = fixtures.chirp(900, 2600, 6.0, 44_100) * 0.3
    return (hiss + whistle).astype(np.float32)


def _rain() -> bytes:
    return fixtures.encode(fixtures.noise(6.0, level=0.08, seed=5), form="FLAC")


def _frogs(seed: int) -> bytes:
    return fixtures.encode(fixtures.clicks(8, 4.0) + fixtures.noise(4.0, level=0.03, seed=seed))
