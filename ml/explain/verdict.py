"""The verdict on an explanation: what its three probabilities say about it. Without torch."""

from enum import StrEnum

# A class below this probability is not predicted, so an explanation of it explains little.
MIN_PROBABILITY = 0.05


class Verdict(StrEnum):
    """What the probabilities of a class say about its explanation.

    "Keeps it" means: at least half of the probability that the class has in the whole window.
    The conditions are checked in this order, so that exactly one verdict applies.

    Attributes
    ----------
    NOT_PREDICTED : the class has less than `MIN_PROBABILITY` in the window
    NOT_RELIABLE : the rest keeps it, so the network does not need the marked part
    CONVINCING : the marked part alone keeps it, and the rest does not
    SPREAD : neither keeps it, so the network needs the whole sound
    """

    NOT_PREDICTED = "not_predicted"
    NOT_RELIABLE = "not_reliable"
    CONVINCING = "convincing"
    SPREAD = "spread"


def judge(original: float, kept: float, rest: float) -> Verdict:
    """Return the verdict on the explanation of a class.

    Parameters
    ----------
    original, kept, rest : float
        Probability of the class for the window, for the marked part alone and for the rest, 0 to 1.
    """
    if original < MIN_PROBABILITY:
        return Verdict.NOT_PREDICTED
    if rest >= original / 2:
        return Verdict.NOT_RELIABLE
    return Verdict.CONVINCING if kept >= original / 2 else Verdict.SPREAD
