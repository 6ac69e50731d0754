"""Measure where a worker's time goes: `ESC50_DIR=… python -m tools.bench.stages`.

Analyses clips of a folder in this process, without broker or web, and prints for each stage the
milliseconds per clip: wall clock, and the processor time of the thread that ran it. Stages named
with a colon are part of others; the decoder's thread runs beside the network.
"""

import argparse
import json
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from tools.bench.local_worker import analyse_all, local_worker, real_clips, submit

CLIPS, WARM_UP = 192, 16


class Stages:
    """The time spent in functions, by stage."""

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = defaultdict(float)
        self.processor_s: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, target: Any, name: str) -> Any:
        """Return a patch that times `target.name`."""
        function = getattr(target, name)

        def run(*given: Any, **named: Any) -> Any:
            wall, processor = time.perf_counter(), time.thread_time()
            try:
                return function(*given, **named)
            finally:
                self.wall_s[stage] += time.perf_counter() - wall
                self.processor_s[stage] += time.thread_time() - processor

        return patch.object(target, name, run)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.stages", description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    clips = real_clips(WARM_UP + parser.parse_args().clips)
    stages = Stages()
    with local_worker() as owner, ExitStack() as patches:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        from classifier import storage
        from classifier.models.analyses import AnalysisQuerySet
        from ml import inference
        from ml.inference import Classifier
        from ml.map_archive import png
        from tasks import analyse, decoding, rendering

        for clip in clips[:WARM_UP]:
            submit(owner, clip)
        analyse_all()
        for clip in clips[WARM_UP:]:
            submit(owner, clip)
        for stage, target, name in (
            ("claim", AnalysisQuerySet, "claim"),
            ("decode, in its thread", decoding, "_read"),
            ("decode, waiting for it", analyse, "_sounds"),
            ("log-mel of the windows", Classifier, "_pictures"),
            ("network", inference, "forward"),
            ("render", analyse, "render"),
            ("render: log-mel, spectrogram and strip", rendering.spectrogram, "draw"),
            ("render: peaks", rendering.spectrogram, "peaks"),
            ("render: maps", rendering.map_archive, "pack"),
            ("render: all PNGs", png, "encoded"),
            ("save", analyse, "save_analyses"),
            ("save: files", storage, "write_folders"),
        ):
            patches.enter_context(stages.timed(stage, target, name))
        wall, processor = time.perf_counter(), time.process_time()
        with CaptureQueriesContext(connection) as queries:
            analyse_all()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        sizes = [
            [path.stat().st_size for path in folder.iterdir()]
            for folder in (storage.root() / storage.ANALYSES).glob("*/*")
        ]
    count = len(clips) - WARM_UP

    def per_clip(seconds: float) -> float:
        return round(1000 * seconds / count, 2)

    print(
        json.dumps(
            {
                "clips": count,
                "wall clock, ms": per_clip(wall),
                "processor, without the decoder process, ms": per_clip(processor),
                "queries": round(len(queries) / count, 2),
                "most files": max(map(len, sizes)),
                "bytes, mean": round(sum(map(sum, sizes)) / len(sizes)),
                "stages, wall clock, ms": {n: per_clip(s) for n, s in stages.wall_s.items()},
                "stages, processor, ms": {n: per_clip(s) for n, s in stages.processor_s.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
