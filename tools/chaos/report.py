"""Print the result of each fault and write it to the table in docs/reliability.md."""

import fcntl
import json
import re
import statistics
from dataclasses import asdict, dataclass

from tests.server import ROOT
from tools.chaos.audit import Audit
from tools.chaos.harness import Harness

DOCUMENT = ROOT / "docs" / "reliability.md"
TABLE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- end of faults -->)", re.S)
HEAD = """\
| fault | times | clips | in flight | lost | duplicated | valid failed | orphans | recovery p50 / p95 | seed | `make chaos ARGS=…` |
|---|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Line:
    """The result of a fault: one line of the table.

    Attributes
    ----------
    in_flight : clips that a worker held at each injection
    refused : number of refused uploads by status or error
    recovery_s : times from an injection to the next clip that ended, in ascending order
    """

    name: str
    title: str
    in_flight: tuple[int, ...]
    found: Audit
    refused: dict[str, int]
    recovery_s: tuple[float, ...]
    notes: tuple[str, ...]
    seed: int
    took_s: float

    @classmethod
    def of(cls, name: str, title: str, harness: Harness, found: Audit, took_s: float) -> "Line":
        return cls(
            name,
            title,
            tuple(injection.in_flight for injection in harness.injections),
            found,
            dict(harness.client.refused),
            tuple(harness.recoveries_s()),
            tuple(harness.notes),
            harness.seed,
            round(took_s),
        )

    @property
    def clean(self) -> bool:
        return self.found.clean and not any(note.startswith("FAILED") for note in self.notes)

    def text(self) -> str:
        return f"{json.dumps(asdict(self))}\n{self.row()}"

    def row(self) -> str:
        found = self.found
        flight = f"{statistics.mean(self.in_flight):.1f}" if self.in_flight else "–"
        values = (
            self.title, len(self.in_flight), found.accepted, flight, found.lost, found.doubled,
            found.failed, found.orphans, self._recovery(), self.seed, f"`--only {self.name}`",
        )  # fmt: skip
        return f"| {' | '.join(str(value) for value in values)} |"

    def _recovery(self) -> str:
        if not self.recovery_s:
            return "–"
        count = len(self.recovery_s)
        shares = [self.recovery_s[min(count - 1, count * share // 100)] for share in (50, 95)]
        return " / ".join(f"{share:.1f} s" for share in shares)


def write(line: Line, names: list[str]) -> None:
    """Update a line of the document's table; all lines are in the order of `names`."""
    with DOCUMENT.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        document = file.read()
        match = TABLE.search(document)
        assert match, f"{DOCUMENT} has no table"
        rows = {_name(row): row for row in match[0].splitlines()[2:]}
        rows[line.name] = line.row()
        table = "".join(f"{rows[name]}\n" for name in names if name in rows)
        file.seek(0)
        file.write(TABLE.sub(lambda _: HEAD + table, document))
        file.truncate()


def _name(row: str) -> str:
    found = re.search(r"`--only (\w+)", row)
    assert found, row
    return found[1]
