"""Problems that people and programs can read, and the error for files that cannot be analysed."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and what to do about it.

    Attributes
    ----------
    code : str
        A stable name for programs.
    detail : str
        A sentence that says what is wrong.
    hint : str
        A sentence that says what to do.
    """

    code: str
    detail: str
    hint: str

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class AudioError(Exception):
    """A sound that cannot be analysed. Retrying does not help.

    The codes of the decoder's problems are `not_audio`, `unsupported`, `damaged`, `empty`,
    `too_short`, `too_long` and `too_large`. A decoder in a separate process also gives
    `decoder_crashed`, `decoder_too_slow` and `decoder_out_of_memory`.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
