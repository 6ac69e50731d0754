import pytest

from ml.explain.verdict import Verdict, judge


@pytest.mark.parametrize(
    ("original", "kept", "rest", "verdict"),
    [
        (0.9, 0.8, 0.1, Verdict.CONVINCING),
        (0.9, 0.45, 0.44, Verdict.CONVINCING),
        (0.9, 0.44, 0.44, Verdict.SPREAD),
        (0.9, 0.0, 0.0, Verdict.SPREAD),
        (0.9, 0.1, 0.45, Verdict.NOT_RELIABLE),
        (0.9, 0.9, 0.9, Verdict.NOT_RELIABLE),
        (0.05, 0.9, 0.0, Verdict.CONVINCING),
        (0.04, 0.9, 0.0, Verdict.NOT_PREDICTED),
        (0.0, 0.0, 0.0, Verdict.NOT_PREDICTED),
    ],
)
def test_each_set_of_probabilities_has_one_verdict(
    original: float, kept: float, rest: float, verdict: Verdict
) -> None:
    assert judge(original, kept, rest) == verdict
