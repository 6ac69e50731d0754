"""Cross-validation: each fold is tested once, by a network trained on all others."""

import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path

from ml import checkpoint_info
from training.cli import Plan
from training.data.index import fold_numbers


def plans(asked: Plan) -> list[Plan]:
    """Return one plan for each fold: it is tested, and all others are used for training."""
    there = fold_numbers(asked.examples)
    return [
        dataclasses.replace(
            asked,
            folds=tuple(fold for fold in there if fold != tested),
            test_fold=tested,
            out=asked.out / f"fold{tested}",
        )
        for tested in there
    ]


def every_fold(asked: Plan, train: Callable[[Plan], Path]) -> Path:
    """Train every plan and write the table of accuracies.

    A fold whose run is finished is not trained again.

    Returns
    -------
    The path of cross-validation.json; the same table is beside it as Markdown.
    """
    accuracy: dict[int, float] = {}
    for one in plans(asked):
        print(f"testing fold {one.test_fold}, training on folds {', '.join(map(str, one.folds))}")
        info = checkpoint_info.read_info(train(one))
        if one.test_fold is not None:
            accuracy[one.test_fold] = info.accuracy[f"fold {one.test_fold}"]
    shares = list(accuracy.values())
    spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
    figures = {
        "folds": accuracy,
        "mean": round(statistics.mean(shares), 4),
        "deviation": round(spread, 4),
        "recipe": dataclasses.asdict(asked.recipe),
    }
    path = asked.out / "cross-validation.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    lines = ["| test fold | accuracy |", "|---|---|"]
    lines += [f"| {fold} | {share:.2%} |" for fold, share in accuracy.items()]
    lines.append(f"| **mean ± deviation** | **{statistics.mean(shares):.2%} ± {spread:.2%}** |")
    path.with_suffix(".md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))
    return path
