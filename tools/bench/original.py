"""Compare one clip with the Audio CNN Visualizer: `ESC50_DIR=… python -m tools.bench.original`.

Theirs is its documented endpoint, re-created here: fp32, a batch of one, base64 in, the mean of
each feature map as nested lists in JSON out, nothing stored. Ours is one clip from its bytes to the
saved answer with all maps: stored, queued, decoded in the sandbox, classified, drawn, and saved.
Both run in this process and take turns. Neither includes HTTP.
"""

import argparse
import base64
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from ml import checkpoint_info
from ml.checkpoint import load_model
from tools.bench.local_worker import analyse_all, local_worker, real_clips, submit

RATE, WAVEFORM_VALUES, TOP = 44_100, 8_000, 3
WARM_UP = 3


class Original:
    """The inference endpoint of the Audio CNN Visualizer."""

    def __init__(self) -> None:
        path = checkpoint_info.SHIPPED
        info = checkpoint_info.read_info(path)
        self.classes = info.classes
        self.model = load_model(path, info).eval()
        mel = MelSpectrogram(22_050, n_fft=1024, hop_length=512, n_mels=128, f_min=0, f_max=11_025)
        self.log_mel = torch.nn.Sequential(mel, AmplitudeToDB())

    @torch.no_grad()
    def answer(self, request: str) -> str:
        data = base64.b64decode(json.loads(request)["audio_data"])
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        samples = samples.mean(axis=1) if samples.ndim > 1 else samples
        if rate != RATE:
            samples = soxr.resample(samples, rate, RATE)
        picture = self.log_mel(torch.from_numpy(samples)[None])[None]
        output = self.model(picture)
        best = torch.softmax(output.logits, dim=1)[0].topk(TOP)
        means = {name: values[0].mean(dim=0) for name, values in output.maps.items()}
        step = max(1, len(samples) // WAVEFORM_VALUES)
        return json.dumps(
            {
                "predictions": [
                    {"class": self.classes[number], "confidence": confidence}
                    for confidence, number in zip(*map(torch.Tensor.tolist, best), strict=True)
                ],
                "visualization": {
                    name: {"shape": list(mean.shape), "values": np.nan_to_num(mean).tolist()}
                    for name, mean in means.items()
                },
                "input_spectrogram": {
                    "shape": list(picture.shape[2:]),
                    "values": picture[0, 0].tolist(),
                },
                "waveform": {
                    "values": samples[::step].tolist(),
                    "sample_rate": RATE,
                    "duration": len(samples) / RATE,
                },
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.original", description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    clips = real_clips(WARM_UP + parser.parse_args().clips)
    requests = [json.dumps({"audio_data": base64.b64encode(clip).decode()}) for clip in clips]
    original = Original()
    theirs: list[float] = []
    ours: list[float] = []
    with local_worker() as owner:

        def ours_once(clip: bytes) -> None:
            submit(owner, clip, bulk=False)
            analyse_all()

        for clip, request in zip(clips, requests, strict=True):
            theirs.append(_seconds(original.answer, request))
            ours.append(_seconds(ours_once, clip))
    medians = [1000 * statistics.median(taken[WARM_UP:]) for taken in (theirs, ours)]
    print(
        json.dumps(
            {
                "clips": len(clips) - WARM_UP,
                "threads": torch.get_num_threads(),
                "Audio CNN Visualizer, ms": round(medians[0], 1),
                "Sonoscope, ms": round(medians[1], 1),
                "times as fast": round(medians[0] / medians[1], 2),
                "bytes of its response": len(original.answer(requests[0])),
            },
            indent=2,
        )
    )


def _seconds(run: Callable[[Any], object], given: Any) -> float:
    started = time.monotonic()
    run(given)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
