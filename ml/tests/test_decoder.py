"""Files that crash, hang or exhaust the decoder process do not affect other files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ml.audio import decoder as parent
from ml.audio.decode import Limits, read
from ml.audio.decoder import Decoder, DecoderError
from ml.audio.waveform import SamplesOnDisk
from ml.errors import AudioError, Problem
from tests import fixtures
from tests.crashing_files import (
    CRASH,
    FILL_MEMORY,
    LOOP_FOREVER,
    RAISE,
    SLEEP,
    crashing_sound,
    unsafe_decoder_env,
)
from tests.server import ROOT, wait_for
from tools import hostile

RATE_HZ = 32_000
Poison = Callable[[str], Path]
LIE = (
    "answer(json.dumps({'samples': %d, 'channels': %d, 'format': '%s', "
    "'source_rate_hz': 8000}).encode())"
)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers this restriction")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoder]:
    """A decoder shared by tests whose files do not crash it."""
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    path = tmp_path / "fine"
    path.write_bytes(fixtures.encode(fixtures.chirp()))
    return path


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Poison:
    """Return a function that writes a sound which runs a line of Python in its decoder."""
    for name, value in unsafe_decoder_env(tmp_path / "before").items():
        monkeypatch.setenv(name, value)

    def poison(what: str) -> Path:
        path = tmp_path / "poison"
        path.write_bytes(crashing_sound(what))
        return path

    return poison


def refusal(decoder: Decoder, path: Path) -> Problem:
    with pytest.raises(AudioError) as caught:
        decoder.read(path, RATE_HZ)
    return caught.value.problem


# --- decoding -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", fixtures.FORMATS)
def test_it_gives_the_same_samples_as_decoding_in_this_process(
    shared: Decoder, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "sound"
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    path.write_bytes(fixtures.encode(fixtures.tone(1000, 0.6, rate_hz), rate_hz, form))
    here, there = read(path, RATE_HZ), shared.read(path, RATE_HZ)
    assert there.waveform[:].tobytes() == here.waveform.tobytes()
    assert (there.format, there.channels, there.source_rate_hz, there.sample_rate) == (
        here.format,
        here.channels,
        here.source_rate_hz,
        here.sample_rate,
    )


def test_a_rejected_file_gives_its_problem_and_the_child_continues(
    shared: Decoder, tmp_path: Path, fine: Path
) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_bytes(b"Dear reader, " * 50)
    shared.read(fine, RATE_HZ)
    first = shared.pid
    error = refusal(shared, letter)
    assert error.code == "not_audio"
    assert "WAV, FLAC" in error.hint
    assert shared.read(fine, RATE_HZ).duration_s == pytest.approx(1)
    assert shared.pid == first


def test_the_limits_apply_in_the_child(shared: Decoder, fine: Path) -> None:
    for limits, code in ((Limits(duration_s=0.5), "too_long"), (Limits(size_bytes=9), "too_large")):
        with pytest.raises(AudioError) as caught:
            shared.read(fine, RATE_HZ, limits)
        assert caught.value.problem.code == code


def test_a_long_sound_is_on_disk_and_has_the_same_samples(shared: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(fixtures.encode(fixtures.noise(150, 44_100), 44_100))
    there = shared.read(path, RATE_HZ, folder=tmp_path)
    assert isinstance(there.waveform, SamplesOnDisk)
    here = read(path, RATE_HZ).waveform
    assert np.array_equal(there.waveform[:], here)
    assert np.array_equal(there.waveform[2_000_000:2_000_100], here[2_000_000:2_000_100])
    assert len(there.waveform[len(here) - 10 : len(here) + 10]) == 10
    assert list(tmp_path.iterdir()) == [path], "the file has no name"


@LINUX
def test_the_decoder_needs_no_more_memory_for_a_longer_sound(
    shared: Decoder, tmp_path: Path
) -> None:
    def peak_mb(duration_s: int) -> float:
        path = tmp_path / "long"
        samples = np.tile(fixtures.noise(60, 8000), duration_s // 60)
        path.write_bytes(fixtures.encode(samples, 8000))
        assert shared.read(path, RATE_HZ, folder=tmp_path).duration_s == pytest.approx(duration_s)
        return hostile.peak_mb(str(shared.pid))

    assert peak_mb(600) < peak_mb(180) + 10


def test_damage_at_the_end_of_a_long_sound_is_found(shared: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    data = fixtures.encode(fixtures.noise(150, 8000), 8000)
    path.write_bytes(data[: len(data) * 9 // 10])
    assert refusal(shared, path).code == "damaged"
    broken = fixtures.noise(150, 8000)
    broken[-4000] = np.nan
    soundfile.write(path, broken, 8000, "FLOAT", format="WAV")
    assert refusal(shared, path).code == "damaged"
    path.write_bytes(fixtures.encode(fixtures.noise(150, 8000), 8000))
    with pytest.raises(AudioError) as caught:
        shared.read(path, RATE_HZ, Limits(duration_s=140))
    assert caught.value.problem.code == "too_long"


def test_a_missing_file_raises_file_not_found(shared: Decoder, tmp_path: Path, fine: Path) -> None:
    with pytest.raises(FileNotFoundError):
        shared.read(tmp_path / "nothing", RATE_HZ)
    shared.read(fine, RATE_HZ)


# --- failures of the process --------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (CRASH, "decoder_crashed"),
        (RAISE, "decoder_crashed"),
        ("os._exit(0)", "decoder_crashed"),
        ("os.write(int(sys.argv[2]), b'\\xff' * 9)", "decoder_crashed"),
        ("answer(b'[' * 9000)", "decoder_crashed"),
        ("answer(b'[]')", "decoder_crashed"),
        ('answer(b\'{"error": {"code": "damaged"}}\')', "decoder_crashed"),
        (LIE % (10**9, 1, "WAV"), "decoder_crashed"),
        (LIE % (1, 10**9, "WAV"), "decoder_crashed"),
        (LIE % (1, 1, "a format"), "decoder_crashed"),
        (LIE % (1, 1, "WAV") + "; os.write(int(sys.argv[2]), b'\\xff' * 4)", "decoder_crashed"),
        ("os.write(int(sys.argv[2]), b'\\x02\\0\\0\\0{}')", "decoder_crashed"),
        (FILL_MEMORY, "decoder_out_of_memory"),
    ],
)
def test_a_crash_fails_one_file_and_the_child_is_replaced(
    decoder: Decoder, poison: Poison, fine: Path, what: str, code: str
) -> None:
    decoder.read(fine, RATE_HZ)
    first = decoder.pid
    error = refusal(decoder, poison(what))
    assert error.code == code
    assert error.detail.endswith(".")
    assert error.hint.endswith(".")
    assert decoder.read(fine, RATE_HZ).duration_s == pytest.approx(1)
    assert decoder.pid != first


def test_a_child_that_exceeds_the_time_limit_is_killed_with_its_children(
    decoder: Decoder, poison: Poison, fine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "WALL_S", 1.0)
    monkeypatch.setattr(parent, "WALL_S_PER_S", 0.0)
    assert refusal(decoder, poison(f"os.fork(); {SLEEP}")).code == "decoder_too_slow"
    assert decoder.read(fine, RATE_HZ).duration_s == pytest.approx(1)


def test_a_child_that_exceeds_its_cpu_time_is_killed_by_the_kernel(
    decoder: Decoder, poison: Poison, fine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "CPU_S", 1)
    with pytest.raises(AudioError) as caught:
        decoder.read(poison(LOOP_FOREVER), RATE_HZ, Limits(duration_s=10))
    assert caught.value.problem.code == "decoder_too_slow"
    # The time of one file is not counted against the next.
    for _ in range(3):
        decoder.read(poison("sum(range(15_000_000))"), RATE_HZ, Limits(duration_s=10))


def test_a_child_that_ended_between_files_is_replaced(decoder: Decoder, fine: Path) -> None:
    decoder.read(fine, RATE_HZ)
    first = decoder.pid
    assert first
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not (decoder._child and decoder._child.is_alive()), 10, "its end")
    assert decoder.read(fine, RATE_HZ).duration_s == pytest.approx(1)


def test_a_child_is_replaced_after_a_number_of_files(
    decoder: Decoder, fine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "FILES_PER_CHILD", 3)
    pids = []
    for _ in range(7):
        decoder.read(fine, RATE_HZ)
        pids.append(decoder.pid)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    assert all(gone(pid) for pid in pids[:-1])


def test_a_child_that_cannot_start_raises_decoder_error(
    decoder: Decoder, fine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "soundfile.py").write_text("raise ImportError('it is not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DecoderError, match="it is not installed"):
        decoder.read(fine, RATE_HZ)


# --- the sandbox --------------------------------------------------------------------------


def test_it_inherits_no_secrets(
    decoder: Decoder, poison: Poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for you")
    payload = refusal(decoder, poison("tell(dict(os.environ))")).detail
    assert "PATH" in payload
    assert "not for you" not in payload


def test_it_loads_neither_torch_nor_django(decoder: Decoder, poison: Poison) -> None:
    heavy = "{'torch', 'django', 'celery', 'scipy', 'soundfile'} & set(sys.modules)"
    assert refusal(decoder, poison(f"tell({heavy})")).detail == "{'soundfile'}"


@LINUX
@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open(os.devnull, 'w')",
        "os.listdir('/')",
        "os.open('here', os.O_CREAT | os.O_WRONLY)",
    ],
)
def test_it_cannot_open_files(decoder: Decoder, poison: Poison, attempt: str) -> None:
    if not _offers("no files"):
        pytest.skip("this kernel has no Landlock")
    assert refusal(decoder, poison(f"attempt(lambda: {attempt})")).detail == "refused"


@LINUX
def test_it_has_no_network(decoder: Decoder, poison: Poison) -> None:
    if not _offers("no network"):
        pytest.skip("namespaces are not offered here")
    payload = refusal(decoder, poison("tell(socket.if_nameindex())")).detail
    assert payload == "[(1, 'lo')]"


@LINUX
def test_it_gains_no_privileges_and_writes_no_core_dump(decoder: Decoder, poison: Poison) -> None:
    ask = "import resource as r; tell([r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE)])"
    assert refusal(decoder, poison(ask)).detail == "[(0, 0), (0, 0)]"
    ask = "tell(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))"
    assert refusal(decoder, poison(ask)).detail == "1"


@LINUX
@pytest.mark.parametrize("what", [SLEEP, LOOP_FOREVER])
def test_it_ends_with_its_parent_even_while_decoding(poison: Poison, what: str) -> None:
    """Even if the parent was killed and closed nothing."""
    script = (
        "import sys; from ml.audio.decoder import Decoder; decoder = Decoder(); decoder._ready(); "
        "print(decoder.pid, flush=True); decoder.read(sys.argv[1], 32000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(poison(what))], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        time.sleep(0.5)
        assert not gone(child)
        process.kill()
    wait_for(lambda: gone(child), 10, "the end of the child")


@LINUX
def test_it_works_under_existing_resource_limits(fine: Path) -> None:
    """A service may run with resource limits set by the administrator."""
    script = (
        "import resource as r, sys; from ml.audio.decoder import Decoder; "
        "r.setrlimit(r.RLIMIT_AS, (900 << 20,) * 2); r.setrlimit(r.RLIMIT_CPU, (50, 50)); "
        "decoder = Decoder(); print(decoder.read(sys.argv[1], 32000).duration_s); decoder.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(fine)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1.0\n", done.stderr


def test_an_idle_child_ends_when_its_socket_closes(decoder: Decoder, fine: Path) -> None:
    decoder.read(fine, RATE_HZ)
    child = decoder._child
    assert child
    child.requests.close()
    assert child.process.wait(10) == 0


def gone(pid: int | None) -> bool:
    """Return whether the process has ended. Zombies count as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def _offers(what: str) -> bool:
    script = "from ml.audio import sandbox; import os; print([sandbox.leave_network()]); "
    script += "print(sandbox.confine(os.getppid()))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    network, restrictions = done.stdout.splitlines()
    return what in restrictions if what != "no network" else network == "[True]"
