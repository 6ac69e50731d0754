"""One line of the table for each fault, on the screen and in docs/reliability.md."""

import json
import statistics
from dataclasses import asdict, dataclass

from tests.chaos.accounts import Account
from tests.chaos.stage import Stage
from tests.house import ROOT

PAPER = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True, slots=True)
class Line:
    """recovery_s: from each fault to the next finished clip, in order of length."""

    name: str
    times: int
    in_flight: tuple[int, ...]
    found: Account
    refused: str
    recovery_s: tuple[float, ...]
    notes: tuple[str, ...]
    seed: int
    took_s: float

    @classmethod
    def of(cls, name: str, stage: Stage, found: Account, took_s: float) -> "Line":
        return cls(
            name,
            len(stage.strikes),
            tuple(strike.in_flight for strike in stage.strikes),
            found,
            ", ".join(f"{times} × {what}" for what, times in stage.client.refused.items()),
            tuple(stage.recoveries_s()),
            tuple(stage.notes),
            stage.seed,
            took_s,
        )

    @property
    def clean(self) -> bool:
        return self.found.clean and not any("NOT" in note for note in self.notes)

    def told(self) -> str:
        return json.dumps(asdict(self)) + "\n" + self.cells()

    def cells(self) -> str:
        found = self.found
        recovery = "–"
        if self.recovery_s:
            recovery = f"{quantile(self.recovery_s, 50):.1f} / {quantile(self.recovery_s, 95):.1f}"
        flight = f"{statistics.mean(self.in_flight):.1f}" if self.in_flight else "–"
        values = (
            self.times, found.accepted, flight, found.lost, found.doubled, found.failed,
            found.orphans, recovery, self.seed, f"`--only {self.name}`",
        )  # fmt: skip
        return "| " + " | ".join(str(value) for value in values) + " |"


def quantile(ordered: tuple[float, ...], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
