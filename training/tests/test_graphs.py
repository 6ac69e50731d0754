"""Tests of CUDA graphs: the bookkeeping with a fake CUDA, and the result where there is a GPU."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from training import graphs, loop
from training.config import Recipe
from training.distil.distiller import Distiller
from training.distil.teacher import Teacher
from training.graphs import WARM_UP_RUNS, StepGraphs
from training.tests import onnx_writer


class Graph:
    """A fake graph that repeats nothing; the tests count its replays."""

    replays = 0

    def replay(self) -> None:
        Graph.replays += 1


@pytest.fixture
def _fake_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*_: Any) -> Any:
        return SimpleNamespace(wait_stream=lambda other: None)

    Graph.replays = 0
    fakes = {
        "CUDAGraph": Graph,
        "Stream": stream,
        "current_stream": stream,
        "graph_pool_handle": lambda: (0, 0),
        "stream": lambda side: nullcontext(),
        "graph": lambda graph, pool, capture_error_mode: nullcontext(),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(graphs.torch.cuda, name, fake)
    monkeypatch.setattr(graphs.torch.random, "fork_rng", lambda devices: nullcontext())


@pytest.mark.usefixtures("_fake_cuda")
def test_each_shape_and_variant_is_captured_once() -> None:
    runs: list[tuple[int, ...]] = []

    def work(value: Tensor) -> Tensor:
        runs.append(tuple(value.shape))
        return value.sum()

    steps = StepGraphs()
    for variant, length in (("bf16", 3), ("bf16", 3), ("bf16", 5), ("bf16", 3), ("fp32", 3)):
        steps.run(work, (torch.ones(length),), variant, [torch.zeros(1)])
    captured = WARM_UP_RUNS + 1
    assert len(runs) == 3 * captured
    assert runs.count((3,)) == 2 * captured
    assert Graph.replays == 5, "a capture runs nothing, so the first step is a replay too"


@pytest.mark.usefixtures("_fake_cuda")
def test_inputs_are_copied_to_the_places_that_the_graph_reads() -> None:
    places: list[Tensor] = []

    def work(value: Tensor) -> Tensor:
        places.append(value)
        return value.sum()

    steps = StepGraphs()
    steps.run(work, (torch.zeros(2),), "", [torch.zeros(1)])
    steps.run(work, (torch.tensor([3.0, 4.0]),), "", [torch.zeros(1)])
    assert len({place.data_ptr() for place in places}) == 1
    assert places[0].tolist() == [3.0, 4.0]


@pytest.mark.usefixtures("_fake_cuda")
def test_the_result_is_a_copy_and_the_warm_up_leaves_no_trace() -> None:
    count = torch.zeros(())
    kept: list[Tensor] = []

    def work(value: Tensor) -> Tensor:
        count.add_(1)
        kept.append(value * 2)
        return kept[-1]

    result = StepGraphs().run(work, (torch.ones(2),), "", [count])
    assert float(count) == 1, "the fake capture runs the work, a real one does not"
    kept[-1].zero_()
    assert result.tolist() == [2.0, 2.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("distilled", [False, True])
def test_graphs_train_like_single_steps(distilled: bool, tmp_path: Path) -> None:
    device = torch.device("cuda")
    teacher = Teacher(onnx_writer.tiny_teacher(tmp_path / "tiny.onnx"), 32_000)
    recipe = Recipe(epochs=10, batch=4, precision="fp32", learning_rate=1e-4)
    random = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(4, 1, 64, width, generator=random).to(device), torch.eye(4, device=device))
        for width in (40, 40, 60, 40, 60)
    ]
    sounds = torch.randn(4, 16_000, generator=random).to(device)
    losses = []
    for graphed in (False, True):
        distiller = Distiller(teacher, 4).to(device) if distilled else None
        run = loop.start(recipe, 4, 5, device, distiller=distiller)
        run.model.dropout.p = 0.0
        run.graphs = StepGraphs() if graphed else None
        run.model.train()
        for batch in batches:
            losses.append(loop.take_step(run, sounds, *batch, recipe).tolist())
    single, graph = losses[:5], losses[5:]
    assert graph == [pytest.approx(step, rel=1e-3) for step in single]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_graph_skips_a_step_that_is_not_finite() -> None:
    device = torch.device("cuda")
    recipe = Recipe(epochs=10, batch=4, learning_rate=1e-4)
    run = loop.start(recipe, 4, 5, device)
    run.graphs = StepGraphs()
    run.model.train()
    picture, targets = torch.randn(4, 1, 64, 40, device=device), torch.eye(4, device=device)
    waveform = torch.zeros(4, 16_000, device=device)
    assert torch.isfinite(loop.take_step(run, waveform, picture, targets, recipe))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    broken = torch.full_like(picture, float("nan"))
    assert torch.isnan(loop.take_step(run, waveform, broken, targets, recipe))
    assert all(torch.equal(value, run.model.state_dict()[name]) for name, value in before.items())
    assert torch.isfinite(loop.take_step(run, waveform, picture, targets, recipe))
