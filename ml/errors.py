"""Problems in words for programs and people, and the one failure that is the file's fault."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and what to do about it.

    code: stable machine name · detail: a sentence on what is wrong · hint: one on what to do.
    """

    code: str
    detail: str
    hint: str

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class AudioError(Exception):
    """A sound that cannot be analysed. Retrying will not help.

    Its problem's code is one of `not_audio`, `unsupported`, `damaged`, `empty`, `too_short`,
    `too_long`, `too_large`; of a decoder in a process of its own also `decoder_crashed`,
    `decoder_too_slow`, `decoder_out_of_memory`.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
