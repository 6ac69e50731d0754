"""Write the results of tools.bench.soundscapes to docs/recordings.md."""

from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "recordings.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
SHOWN_CLASSES = 8


def write(report: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{tables(report)}\n{END}{after}")


def tables(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    seen = ", ".join(map(str, report["folds_seen"]))
    rows = [
        f"Weights `{report['checkpoint']}`, trained on folds {seen}; ten recordings with "
        f"{report['sounds']} sounds, cut from clips of fold {report['fold']}.",
        "",
        "| way | event-based F1 | micro | intersection F1 | micro | found | correct |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, one in report["figures"].items():
        names = ("event macro", "event micro", "intersection macro", "intersection micro")
        values = " | ".join(f"{one[name]:.3f}" for name in names)
        rows.append(f"| {way} | {values} | {one['found']} | {one['hits']} |")
    ordered = sorted(report["classes"], key=report["classes"].get)
    best, worst = ordered[: -SHOWN_CLASSES - 1 : -1], ordered[:SHOWN_CLASSES]
    rows += ["", f"Best: {_listed(best, report)}. Worst: {_listed(worst, report)}."]
    return "\n".join(rows)


def _listed(labels: list[str], report: dict[str, Any]) -> str:
    return ", ".join(f"{one.replace('_', ' ')} {report['classes'][one]:.2f}" for one in labels)
