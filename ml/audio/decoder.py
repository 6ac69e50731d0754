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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ml.audio.decode import (
    BLOCK_S,
    HIGHEST_RATE_HZ,
    LOUDEST,
    MAX_CHANNELS,
    MISSING_S,
    Limits,
    Sound,
    gathered,
)
from ml.audio.decoder_process import CRASHED, LENGTH_BYTES, OUT_OF_MEMORY
from ml.audio.formats import FORMATS
from ml.audio.waveform import Samples, Waveform
from ml.clock_time import from_columns
from ml.errors import AudioError, Problem
from ml.notices import SENTENCES

logger = logging.getLogger(__name__)

# The process is replaced regularly, so that whatever one file leaves behind does not last.
FILES_PER_CHILD = 200
START_LIMIT_S = 60.0
# Ten minutes of audio take about a second. The limits leave room for slow and busy machines.
CPU_S = 20
WALL_S = 60.0
# Added for each second of the maximum duration.
CPU_S_PER_S = 1 / 60
WALL_S_PER_S = 1 / 20
# Python and its libraries take 0.2 GiB of address space, decoding the rest, whatever the length.
MEMORY_BYTES = 768 << 20
# The largest pipe that Linux allows unprivileged users by default.
PIPE_BYTES = 1 << 20
EXIT_WAIT_S = 5
MAX_PAYLOAD_BYTES = 64_000
MAX_CHARACTERS = 300

# The other problems are in `ml.audio.decoder_process`.
TOO_SLOW = Problem(
    "decoder_too_slow",
    "Decoding this file took too long.",
    "Export it again as WAV or FLAC.",
)

# The environment variables that the child process may need. None of them holds a secret.
KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "OPENBLAS_CORETYPE")
# One thread: more need address space, and a process with several cannot leave the network.
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
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        limits: Limits | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> Sound[Waveform]:
        """Decode a file as `ml.audio.decode.read` does, in bounded memory.

        The waveform of a sound of more than one block (`BLOCK_S` or longer) is on disk: four bytes
        per sample in an unnamed file in `folder`, by default the system's folder for temporary
        files, which may be in memory.

        Raises
        ------
        AudioError
            If the file cannot be decoded, exceeds the limits or breaks the decoder.
        DecoderError
            If the child process cannot be started.
        OSError
            If the file cannot be opened, or a long waveform cannot be stored.
        """
        with io.FileIO(path) as file:
            try:
                return self._ready().read(file.fileno(), sample_rate, limits or Limits(), folder)
            except AudioError:
                raise
            except BaseException:
                # After an interruption, part of a response may still be in the pipe.
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
        if self._child and (self._child.files >= FILES_PER_CHILD or not self._child.is_alive()):
            self.close()
        if self._child is None:
            self._child = _Child()
            self._child.wait_until_ready()
        return self._child


class _Child:
    """A decoder process, the socket for its requests and the pipe for its responses."""

    def __init__(self) -> None:
        self.files = 0
        self.requests, theirs = socket.socketpair()
        reading, writing = os.pipe()
        self.answers = os.fdopen(reading, "rb", buffering=0)
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        with theirs, os.fdopen(writing, "wb"):
            if sys.platform == "linux":
                # A larger pipe needs fewer context switches: two instead of ten for five seconds of
                # audio. Linux refuses it to users who already have very many pipes.
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

    def wait_until_ready(self) -> None:
        """Wait until the process is ready. Raise DecoderError if it does not start."""
        try:
            payload = self._payload(time.monotonic() + START_LIMIT_S)
        except (EOFError, OSError) as error:
            program = f"{sys.executable} -m ml.audio.decoder_process"
            raise DecoderError(f"{program} did not start") from error
        if "trace" in payload:
            raise DecoderError(payload["trace"])
        logger.info(
            "decoder %d: %s", self.process.pid, ", ".join(payload["restrictions"]) or "no sandbox"
        )

    def read(
        self, file: int, sample_rate: int, limits: Limits, folder: str | os.PathLike[str] | None
    ) -> Sound[Waveform]:
        """Decode an open file. Raise AudioError; after a crash the process has ended."""
        request = {
            "sample_rate": sample_rate,
            "duration_s": limits.duration_s,
            "size_bytes": limits.size_bytes,
            "memory_bytes": MEMORY_BYTES,
            "cpu_s": int(CPU_S + CPU_S_PER_S * limits.duration_s),
        }
        until = time.monotonic() + WALL_S + WALL_S_PER_S * limits.duration_s
        self.files += 1
        socket.send_fds(self.requests, [json.dumps(request).encode()], [file])
        most_samples = int((limits.duration_s + 2 * MISSING_S) * sample_rate)
        try:
            return gathered(self._blocks(sample_rate, most_samples, until), folder)
        except TimeoutError as error:
            self.end()
            raise AudioError(TOO_SLOW) from error
        except (EOFError, ConnectionError) as error:
            raise self._exit_error() from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # The decoder never sends such a payload: the process may be compromised.
            self.end()
            raise AudioError(CRASHED) from error

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.requests.close()
        self.answers.close()
        if self.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _blocks(
        self, sample_rate: int, most_samples: int, until: float
    ) -> Iterator[Sound[Samples]]:
        """Yield the blocks of a sound of at most `most_samples`.

        Raises
        ------
        AudioError
            If the decoder refuses the file, maybe after some blocks.
        ValueError
            If the response is implausible.
        """
        most_in_block = (2 * BLOCK_S + 1) * sample_rate
        first_sample = 0
        while True:
            payload = self._payload(until)
            if "error" in payload:
                raise self._refusal(payload)
            if payload["samples"] == 0:
                return
            if payload["first_sample"] == 0:  # the file is decoded anew
                first_sample = 0
            elif payload["first_sample"] != first_sample:
                raise ValueError("a block is missing")
            most = min(most_samples - first_sample, most_in_block)
            samples = _within(payload["samples"], most)
            source_rate_hz = _within(payload["source_rate_hz"], HIGHEST_RATE_HZ)
            channels = _within(payload["channels"], MAX_CHANNELS)
            codes, playable = payload["notices"], payload["playable"]
            if payload["format"] not in FORMATS or not SENTENCES.keys() >= set(codes):
                raise ValueError("unknown format or notice")
            recorded = from_columns(payload["recorded_at"], payload["recorded_from"])
            waveform = np.empty(samples, np.float32)
            self._fill(waveform.data.cast("B"), until)
            # NaN fails this comparison too.
            if not np.abs(waveform).max() <= LOUDEST:
                raise ValueError("samples out of range")
            yield Sound(
                waveform,
                sample_rate,
                source_rate_hz,
                channels,
                payload["format"],
                playable is True,
                tuple(sorted(set(codes))),
                first_sample,
                recorded,
            )
            first_sample += samples

    def _refusal(self, payload: dict[str, Any]) -> AudioError:
        """Return the error that the decoder reports, and end the process if it may be damaged."""
        texts = (payload["error"][name] for name in ("code", "detail", "hint"))
        problem = Problem(*(str(text)[:MAX_CHARACTERS] for text in texts))
        if problem.code in (OUT_OF_MEMORY.code, CRASHED.code):
            logger.error("decoder %d: %s", self.process.pid, payload["trace"] or "out of memory")
            self.end()
        return AudioError(problem)

    def _exit_error(self) -> AudioError:
        """Wait for the process to end, kill it if necessary, and return the error."""
        try:
            status = self.process.wait(EXIT_WAIT_S)
        except subprocess.TimeoutExpired:  # it closed the pipe but still runs
            status = 0
        self.end()
        logger.warning("decoder %d exited with status %d", self.process.pid, status)
        return AudioError(TOO_SLOW if -status == signal.SIGXCPU else CRASHED)

    def _payload(self, until: float) -> dict[str, Any]:
        length = bytearray(LENGTH_BYTES)
        self._fill(memoryview(length), until)
        length_bytes = int.from_bytes(length, "little")
        if length_bytes > MAX_PAYLOAD_BYTES:
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
