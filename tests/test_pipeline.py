"""From an upload over HTTP to a result with maps, with a real broker, worker and database."""

import base64
import io
import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from classifier.templatetags.sound import answer
from ml import checkpoint_info
from ml.audio.decode import read
from ml.checkpoint_info import map_names
from ml.inference import Classifier
from ml.rendering import png
from tests import fixtures
from tests.server import ROOT, Person, Server


@pytest.fixture(scope="module")
def sound() -> bytes:
    return fixtures.encode(fixtures.chirp(300, 6000, 5.0, 44_100), 44_100, "FLAC")


@pytest.fixture(scope="module")
def analysed(anna: Person, sound: bytes) -> dict:
    return anna.wait(anna.submit("chirp.flac", sound, again=True))


def test_the_response_to_an_upload_contains_the_url_of_the_analysis(
    anna: Person, sound: bytes
) -> None:
    response = anna.upload("chirp.flac", sound, again=True)
    body = response.json()
    assert response.status_code == 202
    assert set(body) == {"clip", "analysis", "duplicate"}
    assert body["duplicate"] is False
    assert response.headers["Location"] == f"/api/v1/analyses/{body['analysis']}/"
    polled = anna.get(response.headers["Location"])
    unfinished = polled.json()["state"] in ("queued", "running")
    assert ("Retry-After" in polled.headers) == unfinished
    anna.wait(response.headers["Location"])


def test_the_result_lists_all_fifty_classes_in_order_of_confidence(analysed: dict) -> None:
    assert analysed["state"] == "done"
    assert analysed["error"] is None
    assert analysed["progress"] == 1.0
    confidences = [p["confidence"] for p in analysed["predictions"]]
    assert len(confidences) == 50
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1, abs=1e-3)
    assert set(analysed["timings"]) >= {"decoding_s", "classifying_s", "rendering_s"}


def test_the_mean_embedding_of_the_clip_is_stored(
    server: Server, analysed: dict, sound: bytes, tmp_path
) -> None:
    path = tmp_path / "chirp.flac"
    path.write_bytes(sound)
    classifier = Classifier.load(checkpoint_info.default_path())
    waveform = read(path, classifier.info.features.sample_rate).waveform
    (result,) = classifier.classify([waveform])
    code = (
        "from classifier.models import Analysis; "
        f"print(Analysis.objects.get(pk='{analysed['id']}').embedding.hex())"
    )
    stored = bytes.fromhex(server.manage("shell", "--no-imports", "-c", code).split()[-1])
    embedding = np.frombuffer(stored, "<f2")
    assert embedding.shape == (512,)
    np.testing.assert_allclose(embedding, result.window_embeddings.mean(axis=0), atol=0.05)


def test_the_pictures_match_the_models_arrays(
    anna: Person, analysed: dict, sound: bytes, tmp_path
) -> None:
    path = tmp_path / "chirp.flac"
    path.write_bytes(sound)
    classifier = Classifier.load(checkpoint_info.default_path())
    waveform = read(path, classifier.info.features.sample_rate).waveform
    result = classifier.classify([waveform])[0]

    assert tuple(analysed["maps"]) == map_names()
    for name, facts in analysed["maps"].items():
        mean = result.activations.maps[name]
        assert facts["shape"] == list(mean.shape)
        response = anna.get(facts["url"])
        assert response.headers["Content-Type"] == "image/png"
        drawn = np.flipud(np.asarray(Image.open(io.BytesIO(response.content))))
        expected = png.to_index(mean, float(mean.min()), float(mean.max()))
        assert np.abs(drawn.astype(int) - expected).max() <= 1, name

    spectrogram = classifier.spectrogram(waveform)
    high = float(spectrogram.max())
    drawn = np.asarray(Image.open(io.BytesIO(anna.get(analysed["spectrogram"]).content)))
    expected = png.to_index(spectrogram, high - 80, high)
    assert np.abs(np.flipud(drawn).astype(int) - expected).max() <= 1


def test_all_maps_can_be_downloaded_as_one_zip(anna: Person, analysed: dict) -> None:
    response = anna.get(f"/media/analyses/{analysed['id']}/maps.zip")
    pack = zipfile.ZipFile(io.BytesIO(response.content))
    assert {f"{name}.png" for name in map_names()} < set(pack.namelist())
    assert json.loads(pack.read("index.json"))["maps"][-1]["channels"] == 512


def test_an_analysis_takes_at_most_five_files_and_150_kb(server: Server, analysed: dict) -> None:
    folder = next(f for f in server.result_folders() if f.name.startswith(analysed["id"]))
    sizes = [file.stat().st_size for file in folder.iterdir()]
    assert len(sizes) <= 5
    assert sum(sizes) < 150_000


def test_command_line_page_and_rest_show_the_same_result(
    server: Server, anna: Person, analysed: dict, sound: bytes, tmp_path
) -> None:
    path = tmp_path / "chirp.flac"
    path.write_bytes(sound)
    done = subprocess.run(
        [sys.executable, "-m", "ml", "--json", str(path)],
        cwd=ROOT, env=server.env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    payload = json.loads(done.stdout)
    assert payload["checkpoint"] == analysed["checkpoint"]
    assert [p["class"] for p in payload["predictions"][:3]] == [
        p["class"] for p in analysed["predictions"][:3]
    ]
    for one, other in zip(payload["predictions"], analysed["predictions"], strict=True):
        assert one["confidence"] == pytest.approx(other["confidence"], abs=2e-3)
    best = analysed["predictions"][0]
    page = anna.page(f"/analyses/{analysed['id']}/").text
    assert f"<h1>{answer(best['class'], best['confidence'])}</h1>" in page
    assert f"{best['confidence'] * 100:.1f} %" in page


def test_the_history_lists_the_analysis(anna: Person, analysed: dict) -> None:
    page = anna.page("/history/?name=chirp").text
    assert f"/analyses/{analysed['id']}/" in page
    assert "chirp.flac" in page
    assert f"/analyses/{analysed['id']}/" not in anna.page("/history/?name=somethingelse").text
    assert f"/analyses/{analysed['id']}/" not in anna.page("/history/?state=failed").text
    label = analysed["predictions"][0]["class"]
    assert f"/analyses/{analysed['id']}/" in anna.page(f"/history/?label={label}&state=done").text


def test_another_user_gets_404_for_every_url_of_the_analysis(
    ben: Person, server: Server, analysed: dict
) -> None:
    addresses = [
        f"/analyses/{analysed['id']}/",
        f"/api/v1/analyses/{analysed['id']}/",
        analysed["audio"],
        analysed["spectrogram"],
        analysed["maps"]["layer4"]["url"],
        f"/media/analyses/{analysed['id']}/strip.png",
        f"/media/analyses/{analysed['id']}/maps.zip",
        f"/media/analyses/{analysed['id']}/peaks.json",
        f"/media/analyses/{analysed['id']}/audio",
    ]
    for address in addresses:
        assert ben.page(address).status_code == 404, address
        if not address.startswith("/analyses/"):  # pages do not accept tokens
            assert ben.get(address).status_code == 404, address
        anonymous = requests.get(server.url + address, timeout=30, allow_redirects=False)
        assert anonymous.status_code in (302, 401, 404), address
    for address in (f"/analyses/{analysed['id']}/again/", f"/clips/{analysed['clip']}/delete/"):
        assert ben.post_page(address).status_code == 404, address
    assert analysed["id"] not in ben.page("/history/").text


def test_the_sound_is_served_in_ranges(anna: Person, analysed: dict, sound: bytes) -> None:
    whole = anna.get(analysed["audio"])
    assert whole.content == sound
    assert whole.headers["Content-Type"] == "audio/flac"
    assert "private" in whole.headers["Cache-Control"]
    part = anna.get(analysed["audio"], Range="bytes=100-199")
    assert part.status_code == 206
    assert part.content == sound[100:200]
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(sound)}"
    assert anna.get(analysed["audio"], Range="bytes=-5").content == sound[-5:]
    assert anna.get(analysed["audio"], Range="bytes=999999999-").status_code == 416
    for ignored in ("bytes=5-3", "bytes=-", "bytes=0-1,4-5", f"bytes={'9' * 5000}-", "lines=1-2"):
        assert anna.get(analysed["audio"], Range=ignored).status_code == 200, ignored


def test_a_file_that_browsers_cannot_play_is_served_as_flac(anna: Person) -> None:
    tone = fixtures.tone(440, 1.0, 22_050)
    files = {
        "tone.aiff": fixtures.encode(tone, 22_050, "AIFF"),
        "float64.wav": fixtures.encode(tone, 22_050, subtype="DOUBLE"),
        "alac.m4a": fixtures.encode(tone, 22_050, "ALAC"),
    }
    for name, location in {name: anna.submit(name, data) for name, data in files.items()}.items():
        response = anna.get(f"/media/analyses/{anna.wait(location)['id']}/audio")
        assert response.headers["Content-Type"] == "audio/flac", name
        assert response.content[:4] == b"fLaC", name


def test_what_was_changed_while_decoding_is_said(anna: Person) -> None:
    tone = fixtures.tone(440, 1.0, 22_050)
    wav = fixtures.encode(fixtures.stereo(tone, -tone), 22_050)
    done = anna.wait(anna.submit("inverted.wav", wav))
    assert [notice["code"] for notice in done["notices"]] == ["channels_cancelled"]
    assert done["notices"][0]["detail"] in anna.page(f"/analyses/{done['id']}/").text


def test_bad_files_fail_with_a_reason_and_do_not_affect_others(
    anna: Person, sound: bytes, tmp_path
) -> None:
    mp3 = fixtures.encode(fixtures.noise(4.0, 44_100), 44_100, "MP3")
    other = tmp_path / "other.wav"
    other.write_bytes(fixtures.encode(fixtures.tone()))
    bad = {
        "notes.wav": (b"Monday: buy milk\n" * 50, "not_audio"),
        "cut.mp3": (mp3[: len(mp3) // 2], "damaged"),
        "blink.wav": (fixtures.encode(fixtures.tone(duration_s=0.05)), "too_short"),
        "list.wav": (f"ffconcat version 1.0\nfile {other}\n".encode(), "not_audio"),
    }
    sent = {name: anna.submit(name, data) for name, (data, _) in bad.items()}
    good = anna.submit("good.flac", sound, again=True)

    empty = anna.upload("nothing.wav", b"")
    assert empty.status_code == 400
    assert set(empty.json()) == {"code", "detail", "hint"}
    assert empty.json()["code"] == "empty"

    for name, location in sent.items():
        analysis = anna.wait(location)
        assert analysis["state"] == "failed", name
        assert analysis["error"]["code"] == bad[name][1], name
        assert analysis["error"]["hint"], name
        page = anna.page(f"/analyses/{analysis['id']}/")
        assert page.status_code == 200
        assert escaped(analysis["error"]["detail"]) in page.text, name
    assert anna.wait(good)["state"] == "done"


def test_a_clip_can_be_analysed_again_and_deleted(anna: Person, server: Server) -> None:
    first = anna.wait(anna.submit("short.wav", fixtures.encode(fixtures.noise(1.0, seed=7))))
    page = anna.post_page(f"/analyses/{first['id']}/again/")
    second_id = page.url.rstrip("/").rsplit("/", 1)[-1]
    second = anna.wait(f"/api/v1/analyses/{second_id}/")
    assert second["id"] != first["id"]
    assert second["clip"] == first["clip"]
    assert second["predictions"][0]["class"] == first["predictions"][0]["class"]

    assert anna.post_page(f"/clips/{first['clip']}/delete/").status_code == 200
    for analysis in (first, second):
        assert anna.get(f"/api/v1/analyses/{analysis['id']}/").status_code == 404
        assert not [f for f in server.result_folders() if f.name.startswith(analysis["id"])]


def test_identical_uploads_of_one_owner_share_one_file(anna: Person, server: Server) -> None:
    clips = server.data / "media" / "clips"
    data = fixtures.encode(fixtures.noise(0.5, seed=8))
    before = len(list(clips.glob("*/*")))
    first, second = (anna.wait(anna.submit(f"{n}.wav", data, again=True)) for n in "ab")
    assert len(list(clips.glob("*/*"))) == before + 1
    anna.post_page(f"/clips/{first['clip']}/delete/")
    assert anna.get(second["audio"]).content == data
    anna.post_page(f"/clips/{second['clip']}/delete/")
    assert len(list(clips.glob("*/*"))) == before


def test_a_long_clip_is_split_into_windows(anna: Person) -> None:
    data = fixtures.encode(fixtures.noise(12.0, 16_000), 16_000)
    done = anna.wait(anna.submit("long.wav", data))
    assert done["duration_s"] == pytest.approx(12, abs=0.01)
    assert "one of 4" in anna.page(f"/analyses/{done['id']}/").text


def test_every_api_error_has_code_detail_and_hint(server: Server, anna: Person) -> None:
    api = f"{server.url}/api/v1"
    responses = [
        requests.post(f"{api}/token/", json={"username": anna.name, "password": "no"}, timeout=30),
        requests.post(f"{api}/token/", json={}, timeout=30),
        requests.post(f"{api}/token/", data="{", timeout=30),
        requests.post(f"{api}/clips/", timeout=30),
        requests.post(f"{api}/clips/", headers={"Authorization": "Token no"}, timeout=30),
        requests.post(f"{api}/clips/", headers=anna.headers, timeout=30),
        requests.post(f"{api}/clips/", headers=anna.headers, json={}, timeout=30),
        requests.put(f"{api}/clips/", headers=anna.headers, timeout=30),
        requests.get(f"{api}/nothing/", headers=anna.headers, timeout=30),
        anna.get("/api/v1/analyses/00000000-0000-4000-8000-000000000000/"),
        requests.get(f"{api}/clips/", headers={"Authorization": b"Token \xff\xfe"}, timeout=30),
        requests.get(f"{api}/clips/", headers={"Host": "elsewhere.example"}, timeout=30),
        requests.post(
            f"{api}/clips/",
            headers=anna.headers,
            files=[("file", (f"{n}.wav", b"x")) for n in range(120)],
            timeout=30,
        ),
        requests.post(
            f"{api}/clips/", headers=anna.headers, data={"file": "x" * 3_000_000}, timeout=30
        ),
    ]
    for response in responses:
        assert 400 <= response.status_code < 500, response.url
        assert set(response.json()) == {"code", "detail", "hint"}, response.text
        assert all(response.json().values()), response.text


# --- clients of Audio CNN Visualizer ------------------------------------------------------


def test_a_client_of_the_original_gets_the_same_response_format(
    server: Server, anna: Person, tmp_path: Path
) -> None:
    data = fixtures.encode(fixtures.chirp(500, 4000, 5.0, 44_100), 44_100)
    response = classify(server, anna, data)
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"predictions", "visualization", "input_spectrogram", "waveform"}

    assert len(body["predictions"]) == 3
    assert all(set(p) == {"class", "confidence"} for p in body["predictions"])
    confidences = [p["confidence"] for p in body["predictions"]]
    assert confidences == sorted(confidences, reverse=True)

    path = tmp_path / "chirp.wav"
    path.write_bytes(data)
    classifier = Classifier.load(checkpoint_info.default_path())
    waveform = read(path, classifier.info.features.sample_rate).waveform
    result = classifier.classify([waveform])[0]
    assert tuple(body["visualization"]) == map_names()
    assert len(body["visualization"]) == 37
    for name, payload in body["visualization"].items():
        mean = result.activations.maps[name]
        assert payload["shape"] == list(mean.shape)
        step = float(mean.max() - mean.min()) / 255
        assert np.abs(np.array(payload["values"]) - mean).max() <= 1.6 * step + 1e-4, name

    spectrogram = classifier.spectrogram(waveform)
    payload = np.array(body["input_spectrogram"]["values"])
    assert body["input_spectrogram"]["shape"] == list(spectrogram.shape)
    assert payload.shape[0] == 128
    floor = spectrogram.max() - 80
    assert np.abs(payload - np.maximum(spectrogram, floor)).max() <= 0.5

    assert set(body["waveform"]) == {"values", "sample_rate", "duration"}
    assert 0 < len(body["waveform"]["values"]) <= 8000
    assert body["waveform"]["sample_rate"] == 44_100
    assert body["waveform"]["duration"] == pytest.approx(5.0, abs=0.01)


def test_classify_reports_why_a_sound_was_refused(server: Server, anna: Person) -> None:
    bad = classify(server, anna, b"Monday: buy milk\n" * 50)
    assert (bad.status_code, bad.json()["code"]) == (400, "not_audio")
    assert {"code", "detail", "hint"} == set(bad.json())
    assert classify(server, anna, b"").json()["code"] == "invalid"
    address = f"{server.url}/api/v1/classify/"
    odd = requests.post(address, json={"audio_data": "?"}, headers=anna.headers, timeout=30)
    assert (odd.status_code, odd.json()["code"]) == (400, "not_base64")
    assert requests.post(address, json={"audio_data": "AAAA"}, timeout=30).status_code == 401


def classify(server: Server, person: Person, data: bytes) -> requests.Response:
    return requests.post(
        f"{server.url}/api/v1/classify/",
        json={"audio_data": base64.b64encode(data).decode()},
        headers=person.headers,
        timeout=90,
    )


# --- health checks, rate limits, idempotency ------------------------------------------------


def test_the_health_checks_report_alive_and_ready(server: Server) -> None:
    alive = requests.get(f"{server.url}/healthz", timeout=30)
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    ready = requests.get(f"{server.url}/readyz", timeout=30)
    assert ready.status_code == 200, ready.text
    assert set(ready.json()["checks"]) == {
        "database",
        "broker",
        "worker",
        "checkpoint",
        "static",
        "precision",
    }


def test_requests_are_counted_across_web_processes(anna: Person) -> None:
    left = [int(anna.get("/api/v1/clips/").headers["X-RateLimit-Remaining"]) for _ in range(6)]
    assert len(set(left)) == 6


def test_concurrent_requests_with_one_idempotency_key_create_one_clip(anna: Person) -> None:
    data = fixtures.encode(fixtures.noise(0.5, seed=99))
    with ThreadPoolExecutor(8) as pool:
        responses = list(
            pool.map(
                lambda _: anna.upload("x.wav", data, False, **{"Idempotency-Key": "one"}), range(8)
            )
        )
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["analysis"] for response in responses}) == 1
    replayed = [response for response in responses if "Idempotent-Replayed" in response.headers]
    assert len(replayed) == 7


def test_the_web_process_never_loads_torch(server: Server) -> None:
    loaded = (
        "import sys, webapp.wsgi, classifier.urls, classifier.admin; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        cwd=ROOT, env=server.env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
    if Path("/proc/self").exists():
        web = server.processes["web"].pid
        tree = [web, *_children(web)]
        assert len(tree) == 3
        for pid in tree:
            assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def escaped(sentence: str) -> str:
    """Escape apostrophes as Django does."""
    return sentence.replace("'", "&#x27;")
