"""Make a run end in time: measure its first epochs, then shorten its schedule to fit.

The learning rate falls to its end as in any other run, only sooner. The number of epochs is decided
once and saved with the run, so a resumed run keeps it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import mean

from training import loop
from training.config import Recipe
from training.loop import Run

# The measurement takes at least this share of the limit and this many epochs. Its first half does
# not count, because a GPU is slower at first: it captures graphs and chooses algorithms.
MEASURED_SHARE, MEASURED_EPOCHS = 0.05, 4
# Fewer epochs must do once they have taken this share of the limit.
LONGEST_MEASURED_SHARE = 0.25
# The share of the limit that is left free, because epochs do not all take the same time.
MARGIN = 0.03


@dataclass(slots=True)
class TimeLimit:
    """A limit for one run, which begins with this object.

    Attributes
    ----------
    limit_s : seconds until the last epoch must have ended
    clock : returns seconds
    epochs_s : duration of each epoch that was measured
    """

    limit_s: float
    clock: Callable[[], float] = time.monotonic
    began_s: float = field(init=False)
    epoch_began_s: float = field(init=False)
    epochs_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_s = self.epoch_began_s = self.clock()

    def start_training(self) -> None:
        """Call this before the first epoch; the time so far was spent on reading the data."""
        self.epoch_began_s = self.clock()

    def after_epoch(self, run: Run, recipe: Recipe, window_s: float) -> bool:
        """Measure an epoch, and shorten the schedule once enough epochs were measured.

        Parameters
        ----------
        window_s : seconds of a whole clip

        Returns
        -------
        Whether the length of the schedule was decided now.
        """
        if run.timed:
            return False
        now_s = self.clock()
        self.epochs_s.append(now_s - self.epoch_began_s)
        self.epoch_began_s = now_s
        measured_s = sum(self.epochs_s)
        few = len(self.epochs_s) < MEASURED_EPOCHS or measured_s < MEASURED_SHARE * self.limit_s
        if few and measured_s < LONGEST_MEASURED_SHARE * self.limit_s:
            return False
        left_s = (1 - MARGIN) * self.limit_s - (now_s - self.began_s)
        epoch_s = mean(self.epochs_s[len(self.epochs_s) // 2 :])
        epochs = epochs_in_time(run.epoch, left_s, epoch_s, recipe, window_s)
        if epochs < run.epochs:
            loop.shorten(run, recipe, epochs)
        run.timed = True
        return True


def epochs_in_time(
    done: int, left_s: float, epoch_s: float, recipe: Recipe, window_s: float
) -> int:
    """Return how many epochs a run can have, the ones that are done included.

    Epochs on whole clips at the end are assumed to take longer in proportion to their length.

    Parameters
    ----------
    done : number of epochs so far
    left_s : seconds that are left
    epoch_s : duration of an epoch at the start of the run, on crops if the recipe has crops
    window_s : seconds of a whole clip
    """
    longer = 1.0
    if recipe.crop_share:
        longest_s = max(recipe.crop_s, recipe.crop_longest_s)
        longer = max(1.0, 2 * window_s / (recipe.crop_s + longest_s))
    mean_s = epoch_s * (recipe.crop_share + (1 - recipe.crop_share) * longer)
    epochs = int((left_s + done * epoch_s) / mean_s)
    # One epoch more at least, in which the learning rate falls.
    return min(recipe.epochs, max(done + 1, epochs))
