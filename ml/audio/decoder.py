"""Decode uploaded files in a separate process, so that a crash or an exploit stays there."""

import fcntl
import io
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ml.audio.decode import HIGHEST_RATE_HZ, LOUDEST, MAX_CHANNELS, MISSING_S, Limits, Sound
from ml.audio.decoder_process import CRASHED, LENGTH_BYTES, OUT_OF_MEMORY
from ml.audio.formats import AV_FORMATS
from ml.errors import AudioError, Problem

logger = logging.getLogger(__name__)

# A fresh process now and then: nothing that one file leaves behind lasts.
FILES_PER_CHILD = 200
START_LIMIT_S = 60.0
# Ten minutes of sound take a second or so; a machine may be slow, busy, or both.
CPU_S = 20
WALL_S = 60.0
# On top, for each second that the longest sound may last.
CPU_S_PER_S = 1 / 60
WALL_S_PER_S = 1 / 20
# Python and its libraries take 0.2 GiB of address space, decoding the rest.
MEMORY_BYTES = 768 << 20
# Four bytes each, of the resampled blocks and of the same again as one.
MEMORY_PER_SAMPLE = 3 * 4
# As much as Linux gives to anybody.
PIPE_BYTES = 1 << 20
SECONDS_TO_DIE = 5
MAX_TOLD_BYTES = 64_000
MAX_CHARACTERS = 300
FORMATS = frozenset((*AV_FORMATS, "WAV", "AIFF", "FLAC", "OGG"))

# As those of `ml.audio.decoder_process`.
TOO_SLOW = Problem(
    "decoder_too_slow",
    "Decoding this file took far longer than any sound of the longest length does.",
    "Export it again as WAV or FLAC.",
)

# What of our own environment a Python that starts may need; no secret is among it.
KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "OPENBLAS_CORETYPE")
# One thread: more would be address space, and a process of several may not leave the network.
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class DecoderError(Exception):
    """The decoder process could not be started. The file is not the cause."""


class Decoder:
    """Decode files in a child process that starts with the first file and restarts after a crash.

    Use it from one thread, which must live as long as the child: Linux ends the child with it.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None

    def read(
        self, path: str | os.PathLike[str], sample_rate: int, limits: Limits | None = None
    ) -> Sound:
        """Decode a file as `ml.audio.decode.read` does.

        Raises
        ------
        AudioError
            If the file cannot be decoded, exceeds the limits or breaks the decoder.
        DecoderError
            If the child process cannot be started.
        OSError
            If the file cannot be opened.
        """
        with io.FileIO(path) as file:
            try:
                return self._ready().read(file.fileno(), sample_rate, limits or Limits())
            except AudioError:
                raise
            except BaseException:
                # Perhaps we were interrupted, and half an answer is on its way.
                self.close()
                raise

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None if there is none."""
        return self._child.process.pid if self._child else None

    def _ready(self) -> "_Child":
        if self._child and (self._child.files >= FILES_PER_CHILD or not self._child.lives()):
            self.close()
        if self._child is None:
            self._child = _Child()
            self._child.greet()
        return self._child


class _Child:
    """A decoder process, the socket for its requests and the pipe for its answers."""

    def __init__(self) -> None:
        self.files = 0
        self.requests, theirs = socket.socketpair()
        reading, writing = os.pipe()
        self.answers = os.fdopen(reading, "rb", buffering=0)
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        with theirs, os.fdopen(writing, "wb"):
            if sys.platform == "linux":
                # Where it can be: five seconds of sound are two changes of process then, not ten.
                # It is refused to a user who has very many pipes already.
                with suppress(PermissionError):
                    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "ml.audio.decoder_process", str(os.getpid()), str(writing)],
                cwd=Path(__file__).resolve().parents[2],
                env={name: os.environ[name] for name in KEPT if name in os.environ} | SINGLE,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
                start_new_session=True,
            )

    def greet(self) -> None:
        """Wait until the process is ready. Raise DecoderError if it does not start."""
        try:
            payload = self._payload(time.monotonic() + START_LIMIT_S)
        except (EOFError, OSError) as error:
            program = f"{sys.executable} -m ml.audio.decoder_process"
            raise DecoderError(f"{program} did not start") from error
        if "trace" in payload:
            raise DecoderError(payload["trace"])
        logger.info("decoder %d: %s", self.process.pid, ", ".join(payload["had"]) or "no sandbox")

    def read(self, file: int, sample_rate: int, limits: Limits) -> Sound:
        """Decode an open file. Raise AudioError; after a crash the process has ended."""
        most_samples = int((limits.duration_s + 2 * MISSING_S) * sample_rate)
        request = {
            "sample_rate": sample_rate,
            "duration_s": limits.duration_s,
            "size_bytes": limits.size_bytes,
            "memory_bytes": MEMORY_BYTES + MEMORY_PER_SAMPLE * most_samples,
            "cpu_s": int(CPU_S + CPU_S_PER_S * limits.duration_s),
        }
        until = time.monotonic() + WALL_S + WALL_S_PER_S * limits.duration_s
        self.files += 1
        socket.send_fds(self.requests, [json.dumps(request).encode()], [file])
        try:
            payload = self._payload(until)
            if "error" not in payload:
                return self._sound(payload, sample_rate, most_samples, until)
            words = (payload["error"][name] for name in ("code", "detail", "hint"))
            problem = Problem(*(str(word)[:MAX_CHARACTERS] for word in words))
        except TimeoutError as error:
            self.end()
            raise AudioError(TOO_SLOW) from error
        except (EOFError, ConnectionError) as error:
            raise self._reason_of_death() from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # It says what no child of ours would: it is not ours any more.
            self.end()
            raise AudioError(CRASHED) from error
        if problem.code in (OUT_OF_MEMORY.code, CRASHED.code):
            logger.error("decoder %d: %s", self.process.pid, payload["trace"] or "out of memory")
            self.end()
        raise AudioError(problem)

    def lives(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.requests.close()
        self.answers.close()
        if self.lives():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _sound(self, payload: dict[str, Any], rate: int, most_samples: int, until: float) -> Sound:
        """Read a waveform at `rate` Hz. Raise ValueError if the answer is not a plausible sound."""
        samples = _within(payload["samples"], most_samples)
        source_rate_hz = _within(payload["source_rate_hz"], HIGHEST_RATE_HZ)
        channels = _within(payload["channels"], MAX_CHANNELS)
        if payload["format"] not in FORMATS:
            raise ValueError("no format of ours")
        waveform = np.empty(samples, np.float32)
        self._fill(waveform.data.cast("B"), until)
        # (Not a number is not below it either.)
        if not np.abs(waveform).max() <= LOUDEST:
            raise ValueError("no samples of a sound")
        return Sound(waveform, rate, source_rate_hz, channels, payload["format"])

    def _reason_of_death(self) -> AudioError:
        try:
            died = self.process.wait(SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:  # it closed the pipe and lives on
            died = 0
        self.end()
        logger.warning("decoder %d ended with %d", self.process.pid, died)
        return AudioError(TOO_SLOW if -died == signal.SIGXCPU else CRASHED)

    def _payload(self, until: float) -> dict[str, Any]:
        length = bytearray(LENGTH_BYTES)
        self._fill(memoryview(length), until)
        length_bytes = int.from_bytes(length, "little")
        if length_bytes > MAX_TOLD_BYTES:
            raise ValueError(length_bytes)
        text = bytearray(length_bytes)
        self._fill(memoryview(text), until)
        return json.loads(text)

    def _fill(self, view: memoryview, until: float) -> None:
        """Fill `view` from the pipe. Raise TimeoutError, or EOFError if the process has ended."""
        while view:
            left_ms = 1000 * (until - time.monotonic())
            if left_ms <= 0 or not self._poll.poll(left_ms):
                raise TimeoutError
            got = self.answers.readinto(view)
            if not got:
                raise EOFError
            view = view[got:]


def _within(number: object, most: int) -> int:
    if not isinstance(number, int) or not 0 < number <= most:
        raise ValueError(number)
    return number
