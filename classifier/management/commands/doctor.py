"""`manage.py doctor`: report problems of this installation, and what to do about them."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from classifier.monitoring import checks

MARKS = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


class Command(BaseCommand):
    help = "Checks the installation. The exit status is 1 if any check fails."
    # Django's own checks could stop the command before it reports what is wrong.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument(
            "--only",
            nargs="+",
            choices=list(checks.RULES),
            metavar="CHECK",
            help="run only these checks",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = {}
        for name, finding in checks.examine(options["only"] or list(checks.RULES)):
            found[name] = finding
            if not options["json"]:
                self.print_finding(name, finding)
        verdicts = {finding.verdict for finding in found.values()}
        if options["json"]:
            plain = {name: asdict(finding) for name, finding in found.items()}
            worst = next(v for v in ("wrong", "warning", "ok") if v in verdicts)
            self.stdout.write(json.dumps({"verdict": worst, "checks": plain}))
        if "wrong" in verdicts:
            sys.exit(1)

    def print_finding(self, name: str, finding: checks.Finding) -> None:
        styles = {"warning": self.style.WARNING, "wrong": self.style.ERROR}
        mark = styles.get(finding.verdict, str)(MARKS[finding.verdict])
        self.stdout.write(f"{mark}  {name:<10}  {finding.seen}")
        if finding.hint:
            self.stdout.write(f"{'':21}→ {finding.hint}")
