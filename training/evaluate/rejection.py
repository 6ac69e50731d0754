"""Measure when a checkpoint should say "not sure": `python -m training.evaluate.rejection`.

The score is the distance to the training clips in the embedding (`ml/rejection.py`). The threshold
is fitted on a fold that the weights have not seen, so that at most 5 % of the correct predictions
fall below it. Sounds outside the classes are not used to fit it; they only show how many of them
are flagged. Prints one line of JSON; `--write` stores the result in the checkpoint's header.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.audio.decode import read
from ml.checkpoint_info import (
    CLASS_DISTANCE,
    CheckpointError,
    Rejection,
    default_path,
    identity,
    read_info,
)
from ml.errors import AudioError
from ml.inference import Classifier
from ml.predictions import ClipPrediction
from ml.rejection import ClassDistance, fit
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import DataError, Example, read_index
from training.evaluate import outside
from training.evaluate.measure import CHUNK_FILES, change_header
from training.evaluate.metrics import Floats, class_indices

MAX_RIGHT_FLAGGED = 0.05
# Correct predictions that a threshold needs: two of them lie below it.
MIN_RIGHT = 40
NOTE = "The threshold of “not sure”"


@dataclass(frozen=True, slots=True)
class Scored:
    """The clips of a fold.

    Attributes
    ----------
    scores : (clips,)
    right : (clips,) whether the prediction is correct
    sources : (clips,) name of the recording that each clip was cut from
    """

    scores: Floats
    right: NDArray[np.bool_]
    sources: NDArray[np.str_]


# --- figures ------------------------------------------------------------------------------


def threshold_of(right_scores: Floats) -> float:
    """Return the highest threshold below which at most MAX_RIGHT_FLAGGED of the scores lie.

    Parameters
    ----------
    right_scores : (clips,) of the correct predictions
    """
    lost = int(MAX_RIGHT_FLAGGED * len(right_scores))
    return float(np.sort(right_scores)[lost])


def flagged_crossed(clips: Scored) -> NDArray[np.bool_]:
    """Return which clips are flagged by a threshold that was fitted on other recordings (two-fold).

    Returns
    -------
    (clips,)

    Raises
    ------
    DataError
        There are too few correct predictions in one half of the recordings.
    """
    # Clips of one recording have similar scores, so that they belong to the same half.
    _, recordings = np.unique(clips.sources, return_inverse=True)
    odd = recordings % 2 == 1
    flagged = np.zeros(len(odd), bool)
    for half in (odd, ~odd):
        others = clips.scores[~half & clips.right]
        if len(others) < MIN_RIGHT // 2:
            raise DataError(
                f"Only {len(others)} predictions in one half of the recordings are correct; "
                f"a threshold needs at least {MIN_RIGHT // 2}."
            )
        flagged[half] = clips.scores[half] < threshold_of(others)
    return flagged


def auroc(right: Floats, others: Floats) -> float:
    """Return the share of pairs in which the correct prediction scores higher; ties count half.

    Parameters
    ----------
    right : (n,) scores of correct predictions
    others : (m,) scores of sounds outside the classes
    """
    difference = right[:, None] - others[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def measure(
    distance: ClassDistance, clips: Scored, others: dict[str, Floats], fold: int
) -> Rejection:
    """Fit the threshold on a fold and measure how often it flags what it should.

    Parameters
    ----------
    others : scores (sounds,) of sounds outside the classes, by kind

    Raises
    ------
    DataError
        There are too few correct predictions to fit a threshold.
    """
    right = clips.right
    if right.sum() < MIN_RIGHT:
        raise DataError(
            f"Only {right.sum()} predictions on fold {fold} are correct; a threshold needs at "
            f"least {MIN_RIGHT}."
        )
    threshold = round(threshold_of(clips.scores[right]), 6)
    flagged = flagged_crossed(clips)
    return Rejection(
        score=CLASS_DISTANCE,
        threshold=threshold,
        statistics=distance.to_info(),
        fold=fold,
        right_flagged=_share(flagged[right]),
        wrong_flagged=_share(flagged[~right]),
        outside_flagged={kind: _share(scores < threshold) for kind, scores in others.items()},
        auroc={
            kind: round(auroc(clips.scores[right], scores), 4) for kind, scores in others.items()
        },
    )


def _share(chosen: NDArray[np.bool_]) -> float:
    """Return the share of True values, 0 without values."""
    return round(float(chosen.mean()), 4) if len(chosen) else 0.0


# --- predictions --------------------------------------------------------------------------


def predict_files(classifier: Classifier, examples: Sequence[Example]) -> Iterator[ClipPrediction]:
    """Yield the prediction for each example. Raises DataError if a file cannot be read."""
    for first in range(0, len(examples), CHUNK_FILES):
        waveforms = []
        for example in examples[first : first + CHUNK_FILES]:
            try:
                waveforms.append(read(example.path, classifier.info.features.sample_rate).waveform)
            except (AudioError, OSError) as error:
                raise DataError(f"{example.path}: {error}") from error
        yield from classifier.predict(waveforms)


def class_distance(classifier: Classifier, examples: Sequence[Example]) -> ClassDistance:
    """Measure where the clips that the network was trained on lie in its embedding.

    Raises
    ------
    DataError
        A file cannot be read, or there are too few clips.
    """
    labels = class_indices([example.label for example in examples], classifier.info.classes)
    found = [one.window_embeddings.mean(axis=0) for one in predict_files(classifier, examples)]
    try:
        distance = fit(np.stack(found), labels)
    except ValueError as error:
        raise DataError(f"The training folds cannot be measured: {error}") from error
    # As it will be read from the header.
    return ClassDistance.from_info(distance.to_info())


def scored(classifier: Classifier, examples: Sequence[Example], distance: ClassDistance) -> Scored:
    """Return the score of each clip, as in an analysis, and whether its prediction is correct.

    Raises
    ------
    DataError
        A file cannot be read, or has a class that is not one of the checkpoint's.
    """
    foreign = {example.label for example in examples} - set(classifier.info.classes)
    if foreign:
        raise DataError(f"These classes are not in the checkpoint: {', '.join(sorted(foreign))}.")
    labels = class_indices([example.label for example in examples], classifier.info.classes)
    found = list(predict_files(classifier, examples))
    return Scored(
        np.array([distance.scores(one.window_embeddings).mean() for one in found]),
        np.array([one.top_class for one in found]) == labels,
        np.array([example.source for example in examples]),
    )


def outside_scores(classifier: Classifier, distance: ClassDistance) -> dict[str, Floats]:
    """Return the scores (sounds,) of the sounds outside the classes, by kind."""
    scores = {}
    for kind in outside.kinds():
        made = outside.sounds(kind, classifier.info.features.sample_rate, outside.COUNT)
        found = classifier.predict(made)
        scores[kind] = np.array([distance.scores(one.window_embeddings).mean() for one in found])
    return scores


def seen_examples(path: Path, examples: Sequence[Example]) -> list[Example]:
    """Return the examples that a checkpoint was trained on.

    Raises
    ------
    DataError
        There are none, or data and checkpoint have different classes.
    CheckpointError
        The checkpoint cannot be read.
    """
    info = read_info(path)
    seen = [example for example in examples if example.fold in info.folds_seen]
    foreign = {example.label for example in seen} ^ set(info.classes)
    if foreign:
        raise DataError(
            "The training folds of the data and the checkpoint do not have the same classes: "
            f"{', '.join(sorted(foreign))}."
        )
    return seen


def fitted(path: Path, examples: Sequence[Example], fold: int) -> Rejection:
    """Fit and measure the threshold of a checkpoint.

    Raises
    ------
    DataError
        The weights have seen the fold, it has other classes, or there are too few clips or correct
        predictions.
    CheckpointError
        The checkpoint cannot be read.
    """
    if fold in read_info(path).folds_seen:
        raise DataError(
            f"The weights have seen fold {fold}, where all scores are too high, so a threshold "
            "fitted there would be wrong. Use another fold."
        )
    unseen = [example for example in examples if example.fold == fold]
    if not unseen:
        raise DataError(f"There is no clip of fold {fold}.")
    if outside.SPEECH not in outside.kinds():
        print(f"speech is left out: {outside.SPEAKER} is not installed", file=sys.stderr)
    classifier = Classifier.load(path)
    distance = class_distance(classifier, seen_examples(path, examples))
    clips = scored(classifier, unseen, distance)
    return measure(distance, clips, outside_scores(classifier, distance), fold)


def taken_from(other: Path, path: Path, examples: Sequence[Example]) -> Rejection:
    """Return the threshold and rates of another checkpoint, with this one's own statistics.

    Distances are relative to the spread of the training clips, so that a threshold suits another
    network of the same recipe about as well.

    Raises
    ------
    DataError
        The other checkpoint has no threshold, or as `class_distance`.
    CheckpointError
        One of them cannot be read.
    """
    found = read_info(other).rejection
    if found is None:
        raise DataError(f"The header of {other.name} has no threshold.")
    distance = class_distance(Classifier.load(path), seen_examples(path, examples))
    return dataclasses.replace(found, statistics=distance.to_info())


# --- the header and the command -----------------------------------------------------------


def store(path: Path, found: Rejection, note: str) -> None:
    """Write the rejection and a note into a checkpoint's header; the weights stay the same."""
    notes = [one for one in read_info(path).notes if not one.startswith(NOTE)]
    change_header(path, rejection=found, notes=(*notes, note))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m training.evaluate.rejection", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", default=default_path())
    add("--data", type=Path, default=esc50_dir(), help="as for training; default: ESC50_DIR")
    add("--fold", type=int, help="the fold to fit the threshold on, one the weights have not seen")
    add("--write", action="store_true", help="store the result in the checkpoint's header")
    add("--take-from", type=Path, metavar="CHECKPOINT",
        help="fit nothing, but use the threshold and rates of another checkpoint")  # fmt: skip
    options = parser.parse_args(argv)
    if (options.fold is None) == (options.take_from is None):
        parser.error("give either --fold, which the weights have not seen, or --take-from")
    if options.data is None or not options.data.exists():
        parser.error(NO_DATA)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    path = options.checkpoint
    try:
        examples = read_index(options.data)
        if options.take_from:
            found = taken_from(options.take_from, path, examples)
            where = f"and its rates were measured with {options.take_from.stem} on fold"
        else:
            found = fitted(path, examples, options.fold)
            where = "was fitted on fold"
        if options.write:
            store(path, found, f"{NOTE} {where} {found.fold}.")
    except (DataError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    line = {"checkpoint": identity(path), **dataclasses.asdict(found)}
    del line["statistics"]
    print(json.dumps(line | {"outside_flagged_mean": round(found.outside_flagged_mean, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
