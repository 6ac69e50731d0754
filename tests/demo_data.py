"""People and what they have, so that every page can be looked at: pictures and checks share it."""

import time
from dataclasses import dataclass, field

import numpy as np
import requests

from tests import fixtures
from tests.server import Person, Server, wait_for

SAMPLES = ("church_bells", "crickets", "door_wood_knock")
DAMAGED = fixtures.encode(fixtures.noise(2.0), form="FLAC")[:600]


@dataclass(frozen=True, slots=True)
class Scene:
    """`server` with three people: who has used it, who has just come, who looks after it.

    places: names that the addresses of pages are filled in with.
    """

    server: Server
    keeper: Person
    newcomer: Person
    chief: Person
    places: dict[str, str] = field(default_factory=dict)


def furnish(server: Server) -> Scene:
    """Everything a page can show. Stops the worker, so that what waits goes on waiting."""
    scene = Scene(server, Person(server, "mara"), Person(server, "jonas"), Person(server, "ada"))
    keeper, places = scene.keeper, scene.places
    finished = _batch(keeper, "Garden box, first week of May", _week())
    places["batch"] = finished
    _settled(keeper, finished)
    # A second apart, so that they stand in the same order every time.
    for name, data in _recordings().items():
        places[name.partition(".")[0]] = _id(keeper.submit(name, data))
        time.sleep(1)
    for name in SAMPLES:
        places[name] = keeper.post_page(f"/samples/{name}/").url.rstrip("/").rpartition("/")[2]
        time.sleep(1)
    for name in set(places) - {"batch"}:
        keeper.wait(f"/api/v1/analyses/{places[name]}/", limit_s=300)
    _hear_only(keeper, places["crickets"], "crickets")
    for name in ("garden box", "laptop"):
        keeper.post_page("/account/", name=name, expires_in_days="90")
    server.stop("worker")
    places["waiting"] = _id(keeper.submit("rain-on-the-shed.flac", _rain()))
    evening = {f"2026-05-1{day}/pond.wav": _frogs(day) for day in range(4)}
    places["waiting_batch"] = _batch(keeper, "Pond, four evenings", evening, close=False)
    for person in (keeper, scene.newcomer):
        _without_token(person)
    places["chief"] = _made_chief(scene.chief)
    return scene


def _made_chief(person: Person) -> str:
    """The number by which the admin knows them."""
    asked = (
        "from django.contrib.auth.models import User; "
        f"found = User.objects.filter(username='{person.name}'); "
        "found.update(is_staff=True, is_superuser=True); print(found.get().pk)"
    )
    return person.server.manage("shell", "--no-imports", "-c", asked).split()[-1]


def _hear_only(person: Person, analysis: str, label: str) -> None:
    """Somebody asked what spoke for a label, and was answered."""
    answer = requests.post(
        f"{person.server.url}/api/v1/analyses/{analysis}/inspections/",
        json={"kind": "sound", "label": label},
        headers=person.headers,
        timeout=30,
    )
    _posted(answer)
    person.wait(answer.headers["Location"], limit_s=300)


def _without_token(person: Person) -> None:
    """Without the one that every person of a test has; called last, for it is gone then."""
    rows = person.get("/api/v1/tokens/").json()["results"]
    for row in rows:
        if not row["name"]:
            person.post_page(f"/account/tokens/{row['id']}/revoke/")


def _id(location: str) -> str:
    return location.rstrip("/").rpartition("/")[2]


def _batch(person: Person, name: str, files: dict[str, bytes], close: bool = True) -> str:
    """The id of a new batch; sent as the page's script sends it."""
    script = {"X-Requested-With": "fetch", "Referer": person.server.url}
    script["X-CSRFToken"] = person.browser.cookies["csrftoken"]
    root = f"{person.server.url}/batches/"
    made = _posted(person.browser.post(root, data={"name": name}, headers=script, timeout=30))
    url = person.server.url + made["url"]
    for path, data in files.items():
        sent = {"file": (path.rpartition("/")[2], data)}
        answer = person.browser.post(
            f"{url}files/", data={"path": path}, files=sent, headers=script, timeout=30
        )
        _posted(answer)
    if close:
        person.browser.post(f"{url}close/", headers=script, timeout=30)
    return _id(made["url"])


def _posted(answer: requests.Response) -> dict[str, str]:
    assert answer.ok, answer.text
    return answer.json()


def _settled(person: Person, batch: str) -> None:
    def finished() -> bool:
        totals = person.get(f"/api/v1/batches/{batch}/").json()["totals"]
        return not totals["waiting"] and not totals["running"]

    wait_for(finished, 300, "the batch")


# --- what they recorded -------------------------------------------------------------------


def _recordings() -> dict[str, bytes]:
    """One long, one of another rate and format, one that is no sound."""
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
    """One file of each outcome, and a few that were heard."""
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
