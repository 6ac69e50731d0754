"""Make a run end in time: measure its steps, then shorten its schedule to fit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from training.explain.loop import Run

# Steps that are measured, after the first ones, which take longer.
UNCOUNTED_STEPS, MEASURED_STEPS = 5, 15
# Share of the limit that is left free, because not all steps take the same time.
MARGIN = 0.05


@dataclass(slots=True)
class TimeLimit:
    """A limit for the time that this process trains; a resumed run is measured again.

    Steps that mask the sound take longer, so the run is measured again when they begin.

    Attributes
    ----------
    limit_s : float
        Seconds from the creation of this object to the last step.
    clock : callable
        Returns seconds.
    """

    limit_s: float
    clock: Callable[[], float] = time.monotonic
    began_s: float = field(init=False)
    taken: int = 0
    of_sound: bool = False
    first_s: float = 0.0

    def __post_init__(self) -> None:
        self.began_s = self.clock()

    def after_step(self, run: Run, of_sound: bool, window_s: float) -> None:
        """Count a step, and shorten the schedule once enough steps of one kind were measured.

        Parameters
        ----------
        of_sound : bool
            Whether the step masked the sound.
        window_s : float
            Length of a whole window.
        """
        if of_sound != self.of_sound:
            self.taken, self.of_sound = 0, of_sound
        self.taken += 1
        now_s = self.clock()
        if self.taken == UNCOUNTED_STEPS:
            self.first_s = now_s
        if self.taken == UNCOUNTED_STEPS + MEASURED_STEPS:
            step_s = (now_s - self.first_s) / MEASURED_STEPS
            left_s = (1 - MARGIN) * self.limit_s - (now_s - self.began_s)
            run.steps = steps_in_time(run, of_sound, window_s, step_s, left_s)


def steps_in_time(run: Run, of_sound: bool, window_s: float, step_s: float, left_s: float) -> int:
    """Return how many steps a run can have, those that are done included.

    Steps that mask the sound are assumed to take longer than the others in proportion to the length
    of their windows.

    Parameters
    ----------
    of_sound : bool
        Whether `step_s` was measured on steps that mask the sound.
    window_s : float
        Length of a whole window.
    step_s : float
        Seconds of a step.
    left_s : float
        Seconds that are left.
    """
    share = run.recipe.sound_share
    longer = 1.0 if of_sound else max(1.0, window_s / run.recipe.crop_s)
    # If all the steps that are left mask the sound, and if some do not.
    sound_only = run.step + left_s / (step_s * longer)
    both = (run.step + left_s / step_s) / (1 - share + share * longer)
    # One step more at least.
    return min(run.steps, max(run.step + 1, int(max(sound_only, both))))
