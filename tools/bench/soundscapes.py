"""Measure events on soundscapes: `ESC50_DIR=… python -m tools.bench.soundscapes [--write]`.

Twenty recordings of ten minutes are mixed from clips of a fold that the checkpoint was not trained
on. Settings are chosen on ten of them and judged on the other ten, whose clips are from other
sources. The same is done with the windows whose probability reaches a threshold, merged.
Needs requirements-soundscapes.txt.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sed_scores_eval import collar_based, intersection_based
from sed_scores_eval.base_modules.scores import create_score_dataframe

from ml import checkpoint_info
from ml.event_scores import scores_of
from ml.events import EventSettings, Scores, find_events, write_settings
from ml.inference import Classifier
from ml.predictions import ClipPrediction
from tools.bench import soundscapes_report
from tools.bench.soundscape_data import LENGTH_S, Span, halves, soundscapes
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import Example, read_index

COLLAR = {"onset_collar": 0.5, "offset_collar": 0.5, "offset_collar_rate": 0.5}
INTERSECTION = {"dtc_threshold": 0.5, "gtc_threshold": 0.5}
THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(16))
# Values of `median_s`, `merge_gap_s` and `edge_s`.
GRID = ((1.75, 2.25, 2.75, 3.25), (1.0, 2.0), (2.0, 2.5))
# There are about eight sounds of a class to choose its threshold by, so the mean of all classes
# counts as much as so many classes.
PRIOR_CLASSES = 2.0
KEPT = [field.name for field in dataclasses.fields(ClipPrediction)]


@dataclass(frozen=True, slots=True)
class Recording:
    """A classified soundscape."""

    name: str
    truth: list[Span]
    predicted: ClipPrediction
    scores: Scores


@dataclass(frozen=True, slots=True)
class Counts:
    """Event-based counts, (classes,) each."""

    hits: np.ndarray
    found: np.ndarray
    true: np.ndarray

    def f1(self) -> np.ndarray:
        return 2 * self.hits / np.maximum(self.found + self.true, 1)


Detect = Callable[[Recording], Iterable[Span]]


def classified(
    classifier: Classifier, half: int, examples: Sequence[Example], folder: Path
) -> list[Recording]:
    """Return the classified soundscapes of one half, which are kept in a folder."""
    features = classifier.info.features
    kept = folder / f"truth-{half}.json"
    if not kept.is_file():
        truth = {}
        for scape in soundscapes(half, examples, features.sample_rate):
            truth[scape.name] = scape.truth
            path = folder / f"{scape.name}.npz"
            if not path.is_file():
                (predicted,) = classifier.predict([scape.waveform])
                np.savez(path, **{name: getattr(predicted, name) for name in KEPT})
        kept.write_text(json.dumps(truth))
    found = []
    for name, spans in json.loads(kept.read_text()).items():
        with np.load(folder / f"{name}.npz") as arrays:
            values: dict[str, Any] = {key: arrays[key] for key in KEPT}
        values["window_starts_s"] = tuple(values["window_starts_s"].tolist())
        predicted = ClipPrediction(**values)
        scores = scores_of(predicted, features, LENGTH_S)
        found.append(Recording(name, [tuple(span) for span in spans], predicted, scores))
    return found


def merged_windows(
    recording: Recording, classes: Sequence[str], threshold: float, window_s: float
) -> Iterator[Span]:
    """Yield the spans of neighbouring windows in which a class reaches the threshold."""
    for number, label in enumerate(classes):
        span: tuple[float, float] | None = None
        rows = recording.predicted.window_probabilities[:, number] >= threshold
        for start_s in np.array(recording.predicted.window_starts_s)[rows].tolist():
            if span and start_s <= span[1]:
                span = (span[0], start_s + window_s)
                continue
            if span:
                yield *span, label
            span = (start_s, start_s + window_s)
        if span:
            yield *span, label


def events(recording: Recording, classes: Sequence[str], settings: EventSettings) -> list[Span]:
    found = find_events(recording.scores, classes, settings)
    return [(one.start_s, one.end_s, one.label) for one in found]


# --- figures ------------------------------------------------------------------------------


def as_scores(spans: Iterable[Span], classes: Sequence[str]) -> Any:
    """Return spans as a table of scores that are 0 or 1, for sed-scores-eval."""
    spans = [
        (max(0.0, start), min(end, float(LENGTH_S)), label)
        for start, end, label in spans
        if label in classes
    ]
    times = sorted({0.0, float(LENGTH_S), *(one for span in spans for one in span[:2])})
    places = {time_s: row for row, time_s in enumerate(times)}
    table = np.zeros((len(times) - 1, len(classes)))
    for start, end, label in spans:
        table[places[start] : places[end], classes.index(label)] = 1
    return create_score_dataframe(table, np.array(times), list(classes))


def measured(
    recordings: Sequence[Recording], classes: Sequence[str], detect: Detect
) -> tuple[dict[str, float], Counts]:
    """Return F1 by collars and by intersection, and the counts of the former.

    Classes of which no recording has a sound are left out: all clips of one may have one source.
    """
    truth = {one.name: one.truth for one in recordings}
    there = sorted({label for spans in truth.values() for *_, label in spans})
    scores = {one.name: as_scores(detect(one), there) for one in recordings}
    by_collar, _, _, statistics = collar_based.fscore(scores, truth, 0.5, **COLLAR)
    by_intersection, *_ = intersection_based.fscore(scores, truth, 0.5, **INTERSECTION)
    nothing = {"tps": 0, "fps": 0, "n_ref": 0}
    rows = [statistics.get(label, nothing) for label in classes]
    hits = np.array([row["tps"] for row in rows], float)
    counts = Counts(
        hits,
        hits + np.array([row["fps"] for row in rows]),
        np.array([row["n_ref"] for row in rows], float),
    )
    figures = {
        f"{name} {mean}": float(values[f"{mean}_average"])
        for name, values in (("event", by_collar), ("intersection", by_intersection))
        for mean in ("macro", "micro")
    }
    return figures, counts


def best_threshold(
    recordings: Sequence[Recording],
    classes: Sequence[str],
    detect: Callable[[Recording, float], Iterable[Span]],
) -> tuple[float, float, list[Counts]]:
    """Return the best quality, its threshold, and the counts of all THRESHOLDS.

    The quality is the mean of both event-based F1: the macro average alone would accept any number
    of false events in a few classes.
    """
    found = []
    for threshold in THRESHOLDS:

        def at(one: Recording, value: float = threshold) -> Iterable[Span]:
            return detect(one, value)

        figures, counts = measured(recordings, classes, at)
        quality = (figures["event macro"] + figures["event micro"]) / 2
        found.append((quality, threshold, counts))
    best = max(found, key=lambda one: one[0])
    return best[0], best[1], [counts for *_, counts in found]


def best_settings(recordings: Sequence[Recording], classes: Sequence[str]) -> EventSettings:
    """Return the settings with the best quality, and with thresholds for classes."""
    tried = []
    for values in itertools.product(*GRID):
        settings = EventSettings(median_s=values[0], merge_gap_s=values[1], edge_s=values[2])

        def detect(one: Recording, threshold: float, base: EventSettings = settings) -> list[Span]:
            return events(one, classes, replace(base, threshold=threshold))

        quality, threshold, counts = best_threshold(recordings, classes, detect)
        print(f"{quality:.3f} {values} {threshold}", flush=True)
        tried.append((quality, replace(settings, threshold=threshold), counts))
    _, settings, counts = max(tried, key=lambda one: one[0])
    return replace(settings, thresholds=class_thresholds(classes, counts, settings.threshold))


def class_thresholds(
    classes: Sequence[str], counts: Sequence[Counts], common: float
) -> dict[str, float]:
    """Return the thresholds of the classes for which another one than the common is better."""
    hits, found, true = (
        np.stack([getattr(one, name) for one in counts]) for name in ("hits", "found", "true")
    )
    with_prior = [
        values + PRIOR_CLASSES * values.mean(axis=1, keepdims=True)
        for values in (hits, found, true)
    ]
    best = Counts(*with_prior).f1().argmax(axis=0)
    chosen = {label: THRESHOLDS[row] for label, row in zip(classes, best.tolist(), strict=True)}
    return {label: threshold for label, threshold in chosen.items() if threshold != common}


def compare(
    choose: Sequence[Recording], judge: Sequence[Recording], classifier: Classifier
) -> tuple[dict[str, Any], EventSettings]:
    """Choose on one half, and measure on the other."""
    classes, window_s = classifier.info.classes, classifier.info.features.window_s

    def windows(one: Recording, threshold: float) -> Iterator[Span]:
        return merged_windows(one, classes, threshold, window_s)

    settings = best_settings(choose, classes)
    common = replace(settings, thresholds={})
    _, plain, _ = best_threshold(choose, classes, windows)
    _, unmoved, _ = best_threshold(
        choose,
        classes,
        lambda one, value: events(one, classes, replace(common, edge_s=0, threshold=value)),
    )
    ways: dict[str, Detect] = {
        f"windows merged, threshold {plain}": lambda one: windows(one, plain),
        f"events, edges not moved, threshold {unmoved}": lambda one: events(
            one, classes, replace(common, edge_s=0, threshold=unmoved)
        ),
        f"events, threshold {common.threshold}": lambda one: events(one, classes, common),
        "events, a threshold for each class": lambda one: events(one, classes, settings),
    }
    figures: dict[str, Any] = {}
    for name, detect in ways.items():
        figures[name], counts = measured(judge, classes, detect)
        figures[name] |= {"found": int(counts.found.sum()), "hits": int(counts.hits.sum())}
    report = {
        "checkpoint": classifier.identity,
        "folds_seen": classifier.info.folds_seen,
        "sounds": sum(len(one.truth) for one in judge),
        "settings": dataclasses.asdict(settings),
        "figures": figures,
        "classes": {
            label: round(float(f1), 3)
            for label, f1, true in zip(classes, counts.f1(), counts.true, strict=True)
            if true
        },
    }
    return report, settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.soundscapes", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=esc50_dir(), help="default: ESC50_DIR")
    add("--fold", type=int, default=4, help="a fold that was not used for training")
    kept = Path(tempfile.gettempdir()) / "sonoscope-soundscapes"
    add("--kept", type=Path, default=kept, help="folder for the predictions of the soundscapes")
    add("--write", action="store_true", help="update docs/recordings.md and the shipped settings")
    options = parser.parse_args()
    if options.data is None:
        parser.error(NO_DATA)
    classifier = Classifier.load(checkpoint_info.TESTED)
    if options.fold in classifier.info.folds_seen:
        parser.error(f"{classifier.identity} was trained on fold {options.fold}.")
    folder = options.kept / classifier.identity
    folder.mkdir(parents=True, exist_ok=True)
    clips = halves([one for one in read_index(options.data) if one.fold == options.fold])
    choose, judge = (
        classified(classifier, half, examples, folder) for half, examples in enumerate(clips)
    )
    report, settings = compare(choose, judge, classifier)
    report["fold"] = options.fold
    print(json.dumps(report))
    if options.write:
        soundscapes_report.write(report)
        for checkpoint in (checkpoint_info.TESTED, checkpoint_info.SHIPPED):
            write_settings(checkpoint, settings)


if __name__ == "__main__":
    main()
