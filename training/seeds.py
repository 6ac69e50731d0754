"""Train the same plan with several seeds, and summarise their accuracies."""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ml import checkpoint_info
from training.cli import Plan


def plan_of(asked: Plan, seed: int) -> Plan:
    """Return the plan of one seed, in a folder of its own."""
    recipe = dataclasses.replace(asked.recipe, seed=seed)
    return dataclasses.replace(asked, recipe=recipe, out=asked.out / f"seed{seed}")


def every_seed(asked: Plan, seeds: Sequence[int], train: Callable[[Plan], Path]) -> Path:
    """Train one run per seed and write a table of their accuracies.

    A time limit is for all runs together: each gets an equal share of what is left. A seed whose
    run is finished is not trained again.

    Returns
    -------
    The path of seeds.json; the same table is beside it as Markdown.
    """
    began_s = time.monotonic()
    accuracy: dict[int, dict[str, float]] = {}
    for number, seed in enumerate(seeds):
        one = plan_of(asked, seed)
        if asked.limit_s is not None:
            left_s = asked.limit_s - (time.monotonic() - began_s)
            one = dataclasses.replace(one, limit_s=max(1.0, left_s / (len(seeds) - number)))
        print(f"seed {seed}", flush=True)
        accuracy[seed] = checkpoint_info.read_info(train(one)).accuracy
    folds = list(accuracy[seeds[0]])
    summary = {fold: _summary([accuracy[seed][fold] for seed in seeds]) for fold in folds}
    figures = {
        "seeds": accuracy,
        "summary": summary,
        "recipe": dataclasses.asdict(asked.recipe),
    }
    path = asked.out / "seeds.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    table = _table(accuracy, summary)
    path.with_suffix(".md").write_text(table + "\n")
    print(table)
    return path


def _summary(shares: Sequence[float]) -> dict[str, float]:
    """Return mean and range of some accuracies."""
    return {
        "mean": round(statistics.mean(shares), 4),
        "lowest": min(shares),
        "highest": max(shares),
    }


def _table(accuracy: dict[int, dict[str, float]], summary: dict[str, dict[str, float]]) -> str:
    rows = [["seed", *summary], ["---"] * (len(summary) + 1)]
    for seed, shares in accuracy.items():
        rows.append([str(seed), *(f"{share:.2%}" for share in shares.values())])
    means = [
        f"**{of['mean']:.2%}** ({of['lowest']:.2%} to {of['highest']:.2%})"
        for of in summary.values()
    ]
    rows.append(["**mean (range)**", *means])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
