"""The bare forward pass of the shipped network, with which other figures are compared."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ml import checkpoint_info
from ml.checkpoint import load_model

BATCH = 16
ROUNDS, ROUND_PASSES = 7, 3


def forward_rate() -> float:
    """Return the windows per second of PyTorch's forward pass in bf16, measured in a new process.

    Without decoding, spectrograms, pictures or a check of the values; on all cores.
    """
    command = [sys.executable, "-m", "tools.bench.reference"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["windows/s"]


@contextmanager
def busy_core(asked: bool) -> Iterator[None]:
    """Keep one core busy during the block, if `asked`."""
    if not asked:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def _measure() -> float:
    path = checkpoint_info.SHIPPED
    info = checkpoint_info.read_info(path)
    model = load_model(path, info).eval().to(memory_format=torch.channels_last)
    features = info.features
    frames = features.frames(features.window_samples)
    pictures = torch.randn(BATCH, 1, features.mels, frames)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    rates = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for _ in range(1 + ROUNDS):
            started = time.monotonic()
            for _ in range(ROUND_PASSES):
                model(pictures)
            rates.append(BATCH * ROUND_PASSES / (time.monotonic() - started))
    return statistics.median(rates[1:])


if __name__ == "__main__":
    print(json.dumps({"windows/s": round(_measure(), 1)}))
