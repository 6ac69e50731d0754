"""What a mask decoder is trained to do, as losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ml.explain.objective import log_probabilities, roughness
from training.explain.recipe import ExplainRecipe

# A class in the window counts at least this much, even where the network overlooks it.
MIN_PRESENCE = 0.1


@dataclass(frozen=True, slots=True)
class Question:
    """What each window of a batch is asked.

    Attributes
    ----------
    classes : (batch,) int64
    probability : (batch,)
        Of the class in the whole window.
    held : (batch,) bool
        The class is in the window, or is what the network predicts.
    own : (batch, W) float32
        1 where the class's own part of a joined window is, and everywhere in other windows.
    """

    classes: Tensor
    probability: Tensor
    held: Tensor
    own: Tensor


def ask(
    probabilities: Tensor,
    labels: Tensor,
    first_until: Tensor,
    width: int,
    recipe: ExplainRecipe,
    generator: torch.Generator,
) -> Question:
    """Choose the class that each window is asked about.

    Parameters
    ----------
    probabilities : (batch, classes)
        Of the whole windows.
    labels : (batch, 2) int64
    first_until : (batch,)
        As in `training.explain.windows.Composed`.
    width : int
        Columns of a mask.
    """
    batch, count = probabilities.shape
    rows = torch.arange(batch)
    side = torch.randint(2, (batch,), generator=generator)
    classes = labels[rows, side]
    likeliest = probabilities.argmax(1)
    in_window = torch.zeros(batch, count, dtype=torch.bool)
    in_window[rows[:, None], labels] = True
    in_window[rows, likeliest] = True
    second = probabilities.masked_fill(in_window, -1).argmax(1)
    chance = torch.rand(batch, count, generator=generator)
    absent = chance.masked_fill(in_window, -1).argmax(1)
    draw = torch.rand(batch, generator=generator)
    edge = 0.0
    for share, others in (
        (recipe.likeliest_share, likeliest),
        (recipe.second_share, second),
        (recipe.absent_share, absent),
    ):
        classes = torch.where((draw >= edge) & (draw < edge + share), others, classes)
        edge += share
    place = (torch.arange(width) + 0.5) / width
    in_first = place < first_until[:, None]
    joined = (first_until > 0) & (labels[:, 0] != labels[:, 1])
    own = torch.ones(batch, width)
    for number, part in ((0, in_first), (1, ~in_first)):
        mine = joined & (classes == labels[:, number])
        own = torch.where(mine[:, None], part.float(), own)
    return Question(classes, probabilities[rows, classes], in_window[rows, classes], own)


def losses(
    masks: Tensor, kept: Tensor, rest: Tensor, question: Question, recipe: ExplainRecipe
) -> dict[str, Tensor]:
    """Return the weighted parts of the loss, each a scalar.

    Parameters
    ----------
    masks : (batch, H, W) in [0, 1]
    kept, rest : (batch, classes)
        Logits, divided by the temperature, of the part under the mask and of everything else.
    """
    held = question.held
    presence = torch.where(held, question.probability.clamp_min(MIN_PRESENCE), 0.0)
    # A class that is not in the window, but that the network half believes in, counts in part.
    presence = torch.where(held, presence, question.probability)
    absence = torch.where(held, 0.0, 1 - question.probability)
    in_part, not_in_part = log_probabilities(kept, question.classes)
    _, not_in_rest = log_probabilities(rest, question.classes)
    area = masks.mean((1, 2))
    outside = (masks * (1 - question.own[:, None])).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1e-6)
    parts = {
        "part": -presence * in_part,
        "rest": -recipe.rest_weight * presence * not_in_rest,
        "absent": -recipe.absent_weight * absence * not_in_part,
        "area": recipe.area_weight * area + recipe.absent_area_weight * absence * area,
        "outside": recipe.outside_weight * presence * outside,
        "rough": recipe.smooth_weight * roughness(masks),
    }
    return {name: value.mean() for name, value in parts.items()}
