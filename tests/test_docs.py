"""The documentation is correct: examples run, every setting is listed, links are valid."""

import csv
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import get_commands

from tests.documents import assert_output, blocks, steps
from tests.server import PASSWORD, ROOT, Person, Server, wait_for
from webapp import env
from webapp.configuration import DOCUMENT, document

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def run(command: list[str], script: str, server: Server, person: Person, folder: Path) -> str:
    """Run a script with the URL, user and password of this test and return its output."""
    for example, mine in {
        "http://localhost:8000": server.url,
        "NAME='you'": f"NAME='{person.name}'",
        '"username": "you"': f'"username": "{person.name}"',
        "your password": PASSWORD,
    }.items():
        script = script.replace(example, mine)
    done = subprocess.run(
        command,
        cwd=folder, input=script, capture_output=True, text=True, timeout=180,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "localhost"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def shell(server: Server, anna: Person, folder: Path) -> str:
    script = "\n".join(["set -euo pipefail", *blocks("docs/api.md", "sh")])
    return run(["bash", "-s"], script, server, anna, folder)


def test_the_first_example_of_the_readme_works(server: Server, ben: Person) -> None:
    (script,) = [block for block in blocks("README.md", "sh") if "TOKEN" in block]
    payload = run(["sh", "-eu"], script, server, ben, ROOT)
    assert re.search(r"'class': '[a-z_]+', 'confidence': 0\.\d", payload)


def test_the_readme_s_script_stops_at_a_wrong_password(server: Server, ben: Person) -> None:
    (script,) = [block for block in blocks("README.md", "sh") if "TOKEN" in block]
    script = script.replace("your password", "wrong").replace("http://localhost:8000", server.url)
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0


def test_the_shell_examples_work(shell: str, folder: Path, anna: Person) -> None:
    sent = json.loads(shell.splitlines()[0].partition("}")[0] + "}")
    answer = json.loads((folder / "answer.json").read_text())
    assert (answer["id"], answer["clip"]) == (sent["analysis"], sent["clip"])
    assert answer["state"] == "done"
    for picture in ("spectrogram.png", "layer4.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
    assert (folder / "maps.zip").read_bytes()[:2] == b"PK"
    assert (folder / "attribution.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "card.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "start.bin").read_bytes() == (folder / "sound.wav").read_bytes()[:100]


def test_the_responses_have_the_documented_shape(shell: str, folder: Path) -> None:
    sent, analysis, refusal, events, judgement, inspection, share, batch, checkpoint = (
        json.loads(block) for block in blocks("docs/api.md", "json")
    )
    assert set(sent) == {"clip", "analysis"}
    answer = json.loads((folder / "answer.json").read_text())
    _same_shape(analysis, answer)
    assert len(answer["predictions"]) == 50
    assert len(answer["maps"]) == 37
    assert json.loads((folder / "refusal.json").read_text()) == refusal
    listed = json.loads((folder / "events.json").read_text())
    assert listed.keys() == events.keys()
    assert all(event.keys() == events["results"][0].keys() for event in listed["results"])
    said = json.loads((folder / "judgement.json").read_text())
    assert said.keys() == judgement.keys()
    assert said["label"] == judgement["label"]
    (row,) = json.loads((folder / "judged.json").read_text())["results"]
    assert row["judgement"] == said
    looked = json.loads((folder / "inspection.json").read_text())
    _same_shape(inspection, looked)
    assert (looked["analysis"], looked["label"]) == (
        answer["id"],
        answer["predictions"][0]["class"],
    )
    _same_shape(share, json.loads((folder / "share.json").read_text()))
    payload = json.loads((folder / "batch.json").read_text())
    _same_shape(batch, payload)
    assert payload["totals"] == batch["totals"]
    detail = json.loads((folder / "checkpoint.json").read_text())
    _same_shape(checkpoint, detail)
    name = checkpoint["checkpoint"].removesuffix("…")
    assert detail["checkpoint"].startswith(name)
    assert not answer["checkpoint"].startswith(name), "the default checkpoint was used"


def test_the_batch_is_exported_listed_and_deleted(shell: str, folder: Path, anna: Person) -> None:
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    outcomes = {"other.wav": "accepted", "empty.wav": "refused", "morning/sound.wav": "duplicate"}
    assert {row["path"]: row["outcome"] for row in rows} == outcomes
    exported = json.loads((folder / "results.json").read_text())
    payload = json.loads((folder / "batch.json").read_text())
    # The sweep may have found only after the first that the batch has finished.
    later = {name: exported[name] for name in ("files", "finished_at")}
    assert exported == payload | later
    assert [file["path"] for file in exported["files"]] == [row["path"] for row in rows]
    found = json.loads((folder / "found.json").read_text())["results"]
    done = {row["analysis"] for row in rows if row["state"] == "done"}
    assert {row["id"] for row in found} == done
    (listed,) = json.loads((folder / "batches.json").read_text())["results"]
    assert listed["id"] == payload["id"]
    assert anna.get(f"/api/v1/batches/{payload['id']}/").status_code == 404
    # The duplicate's analysis remains, the other is deleted.
    answer = json.loads((folder / "answer.json").read_text())
    assert anna.get(f"/api/v1/analyses/{answer['id']}/").status_code == 200
    (other,) = done - {answer["id"]}
    assert anna.get(f"/api/v1/analyses/{other}/").status_code == 404


def test_events_are_exported(shell: str, folder: Path) -> None:
    assert (folder / "sound.selections.txt").read_text().startswith("Selection\tView\tChannel\t")
    assert (folder / "history.parquet").read_bytes()[:4] == b"PAR1"
    assert (folder / "events.csv").read_text().startswith("file,label,start_s,end_s,")
    with zipfile.ZipFile(folder / "events.zip") as archive:
        assert {"events.csv", "raven/sound.wav.selections.txt"} <= set(archive.namelist())


def _same_shape(shown: object, real: object, where: str = "the response") -> None:
    """Assert that every documented field exists and has the same type."""
    assert isinstance(real, type(shown)), where
    if isinstance(shown, dict):
        assert isinstance(real, dict)
        for key, value in shown.items():
            assert key in real, f"{where}: {key}"
            _same_shape(value, real[key], f"{where}: {key}")
    if isinstance(shown, list) and shown and isinstance(real, list):
        _same_shape(shown[0], real[0], where)


def test_the_python_examples_work(shell: str, server: Server, anna: Person, folder: Path) -> None:
    script = "\n".join(blocks("docs/api.md", "python"))
    payload = run([sys.executable, "-"], script, server, anna, folder)
    *guesses, refused, known = payload.splitlines()
    assert len(guesses) == 3
    assert refused == "empty.wav The file is empty."
    assert known == "3 files, 1 of them known"
    assert (folder / "layer1.0.png").exists() or len(list(folder.glob("layer1*.png"))) > 1


# --- the tutorial -------------------------------------------------------------------------

TUTORIAL = "docs/tutorial.md"
NEXT_STEP = "--- next step ---"


@pytest.fixture(scope="module")
def newcomer(server: Server) -> Person:
    """A user who has an account and tried a sample sound, as in step 2."""
    person = server.person()
    result = person.post_page("/samples/siren/")
    assert "/analyses/" in result.url
    return person


@pytest.fixture(scope="module")
def tutorial_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture(scope="module")
def tutorial(server: Server, newcomer: Person, tutorial_folder: Path) -> list[str]:
    """The outputs of the tutorial's blocks, which ran in one shell, as they do for its readers.

    The first block is left out: instead of `make run`, the server is that of the tests, whose
    address `run` puts in place of http://localhost:8000. tests/test_serve.py checks the output of
    `make run`.
    """
    (first, _), *others = steps(TUTORIAL)
    assert first.endswith("\nmake run\n")
    script = f"echo '{NEXT_STEP}'\n".join(block for block, _ in others)
    output = run(BASH, script, server, newcomer, tutorial_folder)
    return output.split(f"{NEXT_STEP}\n")


def test_the_tutorial_s_blocks_print_what_is_shown(tutorial: list[str]) -> None:
    for (_, shown), real in zip(steps(TUTORIAL)[1:], tutorial, strict=True):
        assert_output(shown, real)


def test_the_tutorial_s_files_are_as_described(tutorial: list[str], tutorial_folder: Path) -> None:
    (folder,) = tutorial_folder.iterdir()
    with (folder / "results.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert (rows["hiss.wav"]["state"], rows["hiss.wav"]["label"]) == ("done", "rain")
    assert (rows["notes.wav"]["state"], rows["notes.wav"]["error_code"]) == ("failed", "not_audio")
    assert (folder / "layer4.png").read_bytes()[:4] == b"\x89PNG"


def test_the_tutorial_names_links_and_buttons_as_the_pages_do(
    tutorial: list[str], server: Server, newcomer: Person
) -> None:
    (batch,) = newcomer.get("/api/v1/batches/").json()["results"]
    pages = [
        requests.get(f"{server.url}/account/sign-in/", timeout=30),
        *(newcomer.page(path) for path in ("/", "/batches/", "/batches/new/")),
        newcomer.page(f"/batches/{batch['id']}/"),
    ]
    shown = html.unescape("".join(page.text for page in pages))
    names = re.findall(r"\*\*(.+?)\*\*", (ROOT / TUTORIAL).read_text())
    assert len(names) > 5
    for name in names:
        assert re.search(rf">\s*{re.escape(name)}\s*<", shown), name


# --- backup -------------------------------------------------------------------------------


def test_a_restored_backup_of_sqlite_answers_as_before(
    shell: str, server: Server, anna: Person, tmp_path: Path
) -> None:
    if server.database_url:
        pytest.skip("this server uses PostgreSQL")
    backup, restore = (block for block in blocks("docs/operations.md", "sh")[:3:2])
    backup = backup.replace("DATA=var", f"DATA={shlex.quote(str(server.data))}").replace(
        ".venv/bin/python", shlex.quote(sys.executable)
    )
    wait_for(lambda: not unfinished(anna), 60, "the analyses of the examples")
    run(BASH, backup, server, anna, tmp_path)
    with tarfile.open(tmp_path / "backup" / "files.tar") as files:
        assert "secret_key" in files.getnames()
    before = read_analyses(server, anna)

    (tmp_path / "var").mkdir()
    assert restore.rstrip().endswith("\nmake run")
    run(BASH, restore.removesuffix("make run\n"), server, anna, tmp_path)
    assert_same_answers(Server(tmp_path / "var"), anna, before)


def test_a_restored_backup_of_postgresql_answers_as_before(
    shell: str, server: Server, anna: Person, tmp_path: Path
) -> None:
    if not server.database_url:
        pytest.skip("DATABASE_URL is not set")
    backup, restore = (block for block in blocks("docs/operations.md", "sh")[1:4:2])
    (tmp_path / "secrets").mkdir()
    shutil.copy(server.data / "secret_key", tmp_path / "secrets")
    wait_for(lambda: not unfinished(anna), 60, "the analyses of the examples")
    run(BASH, without_containers(backup, server), server, anna, tmp_path)
    before = read_analyses(server, anna)

    shutil.rmtree(tmp_path / "secrets")
    # Another broker database, because the first server still uses its own.
    again = Server(tmp_path / "data", REDIS_URL=server.redis_url.rpartition("/")[0] + "/8")
    again.data.mkdir()
    run(BASH, without_containers(restore, again), again, anna, tmp_path)
    shutil.copy(tmp_path / "secrets" / "secret_key", again.data)
    assert_same_answers(again, anna, before)


BASH = ["bash", "-euo", "pipefail", "-s"]


def without_containers(script: str, server: Server) -> str:
    """Replace Compose commands with the commands that they run in the containers."""
    script = re.sub(r"^docker compose (stop|up) .*\n", "", script, flags=re.M)
    script = re.sub(r"docker compose (exec|run) .*?-T \w+ ", "", script)
    assert "docker" not in script
    url = shlex.quote(server.database_url)
    script = script.replace("-U sonoscope -d sonoscope", f"-d {url}")
    script = script.replace("-U sonoscope sonoscope", f"-d {url}")
    return script.replace("-C /data", f"-C {shlex.quote(str(server.data))}")


def unfinished(person: Person) -> list[Any]:
    found = [person.get(f"/api/v1/analyses/?state={state}") for state in ("queued", "running")]
    return [row for response in found for row in response.json()["results"]]


def assert_same_answers(again: Server, person: Person, before: dict[str, Any]) -> None:
    assert len(before) >= 6  # an analysis and its five files
    try:
        again.open()
        # The earlier token is valid here too.
        assert read_analyses(again, person) == before
    finally:
        again.close()


def read_analyses(server: Server, person: Person) -> dict[str, Any]:
    """Return the API's description of a user's analyses, and the bytes of all their files."""

    def get(path: str) -> requests.Response:
        response = requests.get(server.url + path, headers=person.headers, timeout=30)
        assert response.ok, f"{path}: {response.text}"
        return response

    found: dict[str, Any] = {}
    for row in get("/api/v1/analyses/?state=done").json()["results"]:
        detail = get(f"/api/v1/analyses/{row['id']}/")
        found[row["id"]] = json.loads(detail.text.replace(server.url, ""))
        for name in ("audio", "peaks.json", "maps.zip", "spectrogram.png", "strip.png"):
            path = f"/media/analyses/{row['id']}/{name}"
            found[path] = get(path).content
    return found


# --- settings -----------------------------------------------------------------------------


def test_the_configuration_document_matches_the_settings() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m webapp.configuration"


def test_every_setting_is_documented() -> None:
    used = re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "webapp" / "settings.py").read_text())
    assert set(used) - {"ENV_FILE"} == set(env.KNOWN)


def test_the_example_file_has_the_same_settings() -> None:
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.M)) == set(env.KNOWN)


# --- links --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_are_valid(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_named_commands_exist(path: Path) -> None:
    """Every `manage.py …`, `python -m …` and `make …` in the documentation exists."""
    text = path.read_text()
    for command in set(re.findall(r"manage\.py ([a-z_]+)", text)):
        assert command in get_commands(), command
    for module in set(re.findall(r"python -m ((?:ml|tasks|training|webapp|tools)[a-z_.]*)", text)):
        place = ROOT / module.rstrip(".").replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").exists(), module
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for target in set(re.findall(r"`make ([a-z]+)", text)):
        assert target in targets, target
