"""How a mask decoder is trained."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExplainRecipe:
    """How a mask decoder is trained. docs/explanations.md says what each part is for.

    Attributes
    ----------
    steps : int
        Length of the schedule; a time limit makes it shorter.
    warm_up : float
        Share of the steps in which the learning rate rises.
    ema : float
        Decay of the moving average of the weights, which is what is saved.
    crop_s : float
        Length of the windows in seconds, until the last steps; those have whole windows.
    sound_share : float
        Share of the steps, at the end, that take whole windows and mask the sound itself. Those
        before mask the power of the mel bands, which takes less time.
    joined_share, mixed_share : float
        Shares of windows that two clips share, one after the other or at the same time.
    gain_db, quiet_share, quiet_db, noise_share, noise_least_db, noise_most_db : float
        Largest change of each sound's level; share of quieter windows and by how much at most;
        share of windows with noise and how far below the sound it is.
    likeliest_share, second_share, absent_share : float
        Shares of windows that are asked about the network's prediction, about the likeliest of
        the classes that are not in the window, and about any of those; the others are asked
        about a class in the window.
    rest_weight, area_weight, absent_weight, absent_area_weight, outside_weight, smooth_weight
        Weights of the parts of the loss (`training.explain.losses`).
    mask_area : float
        After the last step, the masks of all classes are shifted alike, so that those of the
        training sounds cover this share of a window on average; 0 for no shift.
    """

    steps: int = 900
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    ema: float = 0.99
    crop_s: float = 2.5
    sound_share: float = 0.4
    joined_share: float = 0.3
    mixed_share: float = 0.12
    gain_db: float = 6.0
    quiet_share: float = 0.2
    quiet_db: float = 30.0
    noise_share: float = 0.3
    noise_least_db: float = 0.0
    noise_most_db: float = 30.0
    likeliest_share: float = 0.15
    second_share: float = 0.07
    absent_share: float = 0.1
    rest_weight: float = 1.0
    area_weight: float = 1.3
    absent_weight: float = 1.0
    absent_area_weight: float = 2.0
    outside_weight: float = 2.0
    smooth_weight: float = 1.0
    mask_area: float = 0.0
    seed: int = 1
