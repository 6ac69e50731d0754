"""Train AudioCNN: `python -m training.train --folds 1 2 3 --test-fold 4`.

Start it again after a crash or a kill and it goes on where it stopped.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import torch

from ml import checkpoint
from ml.features import FeatureConfig, LogMel
from ml.inference import Classifier
from training import engine
from training.config import Recipe, esc50_dir
from training.dataset import class_names, load_waveforms, read_index
from training.evaluate import share_right


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=esc50_dir(), help="default: ESC50_DIR")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3], help="learned from")
    parser.add_argument(
        "--test-fold",
        type=int,
        default=4,
        help="measured once, after the last epoch; decides nothing",
    )
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--out", type=Path, default=Path("runs/folds123"), help="the run's folder")
    options = parser.parse_args(argv)
    if options.data is None or not (options.data / "meta" / "esc50.csv").is_file():
        parser.error("no ESC-50 here: set ESC50_DIR or --data to a folder with meta/esc50.csv")
    if options.test_fold in options.folds:
        parser.error("--test-fold must not be one of --folds")
    return options


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    recipe = Recipe(epochs=options.epochs, seed=options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = read_index(options.data)
    classes = class_names(examples)
    features = FeatureConfig()
    samples = load_waveforms(examples, features, options.out.parent)
    labels = torch.tensor([classes.index(example.label) for example in examples])
    folds = torch.tensor([example.fold for example in examples])
    learned = torch.isin(folds, torch.tensor(options.folds)).nonzero().flatten()

    mean_db, deviation_db = engine.decibel_statistics(LogMel(features), samples[learned], 64)
    features = dataclasses.replace(features, mean_db=mean_db, deviation_db=deviation_db)
    log_mel = LogMel(features).to(device)
    steps = -(-len(learned) // recipe.batch)
    run = engine.start(recipe, len(classes), steps, device)
    options.out.mkdir(parents=True, exist_ok=True)
    last = options.out / "last.pt"
    settings = {"recipe": dataclasses.asdict(recipe), "folds": options.folds}
    if last.is_file():
        state = torch.load(last, weights_only=True)
        if state["settings"] != settings:
            sys.exit(f"{options.out} holds a run with other settings: choose another --out.")
        run.restore(state)
        print(f"going on after epoch {run.epoch}")

    while run.epoch < recipe.epochs:
        started = time.monotonic()
        loss = engine.train_epoch(
            run, recipe, log_mel, samples[learned], labels[learned], lambda step, loss: None
        )
        epoch_s = time.monotonic() - started
        torch.save(run.state() | {"settings": settings}, last.with_suffix(".partial"))
        last.with_suffix(".partial").replace(last)
        left_min = epoch_s * (recipe.epochs - run.epoch) / 60
        print(
            f"epoch {run.epoch}/{recipe.epochs}  loss {loss:.4f}  "
            f"{epoch_s:.0f} s  {left_min:.0f} min left",
            flush=True,
        )

    info = checkpoint.CheckpointInfo(
        classes=classes,
        features=features,
        folds_seen=tuple(options.folds),
        recipe=dataclasses.asdict(recipe),
    )
    path = options.out / "checkpoint.safetensors"
    checkpoint.save(path, run.average.state_dict(), info)
    # Measured as it will be used: the fp16 file, on the clips themselves.
    tested = [example for example in examples if example.fold == options.test_fold]
    accuracy = round(share_right(Classifier.load(path), tested), 4)
    info = dataclasses.replace(info, accuracy={f"fold {options.test_fold}": accuracy})
    checkpoint.save(path, run.average.state_dict(), info)
    print(json.dumps({"checkpoint": str(path), "accuracy": info.accuracy}))


if __name__ == "__main__":
    main()
