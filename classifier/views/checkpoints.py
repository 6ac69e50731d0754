"""The page of the installed checkpoints and their evaluations."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe

from classifier.checkpoints import descriptions, evaluation, inventory
from classifier.checkpoints.class_names import display_name
from classifier.checkpoints.evaluation import Picture, Report
from classifier.checkpoints.inventory import Installed
from ml.checkpoint_info import Rejection

MAX_CLASSES = 12
# Shares that differ by less than this are equal up to rounding.
SAME = 5e-4
# Settings of a recipe that have no effect without a teacher.
_OF_A_TEACHER = ("teacher_epochs", "label_weight", "teacher_weight", "feature_weight")
# Settings that are the SHA-256 of a file.
_FILES = ("init", "teacher")


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    shown = [_model(one) for one in inventory.installed()]
    return render(request, "classifier/models.html", {"models": shown})


def _picture(name: str, kind: str) -> Picture:
    """Return the diagram. Raises Http404."""
    found = next((one for one in inventory.installed() if one.name == name), None)
    picture = evaluation.picture_of(found, kind) if found and kind in evaluation.PICTURES else None
    if picture is None:
        raise Http404
    return picture


def _etag(request: HttpRequest, name: str, kind: str) -> str:
    return f'"{_picture(name, kind).version}"'


@login_required
@require_safe
@cache_control(private=True, max_age=3600)
@condition(etag_func=_etag)
def picture(request: HttpRequest, name: str, kind: str) -> HttpResponseBase:
    """Return a diagram that belongs to an installed checkpoint; no other file can be requested."""
    return FileResponse(_picture(name, kind).path.open("rb"), content_type="image/png")


def _model(found: Installed) -> dict[str, Any]:
    """Return one entry of the page."""
    report = evaluation.report_of(found)
    measured = report.evaluation.by_class if report.evaluation else ()
    shares = {one: one.accuracy for one in measured if one.accuracy is not None}
    half = min(MAX_CLASSES, len(shares) // 2)
    return {
        "installed": found,
        "title": descriptions.title_of(found.identity),
        "expectation": descriptions.expectation(found),
        "held_out": descriptions.held_out_sentence(found),
        "report": report,
        "classes": sorted(map(display_name, found.info.classes)),
        "recipe": _recipe(found.info.recipe),
        "header_figures": _header_figures(found, report),
        "weakest": sorted(shares, key=lambda one: (shares[one], one.name))[:half],
        "strongest": sorted(shares, key=lambda one: (-shares[one], one.name))[:half],
        "faultless": sum(share == 1 for share in shares.values()),
        "outside": _outside(found.info.rejection),
    }


def _outside(rejection: Rejection | None) -> list[tuple[str, float, float]]:
    """Return each kind of sound outside the classes with the share that is not sure and AUROC."""
    if rejection is None:
        return []
    shares, auroc = rejection.outside_flagged, rejection.auroc
    return [(kind, share, auroc[kind]) for kind, share in shares.items()]


def _header_figures(found: Installed, report: Report) -> list[tuple[str, float, bool | None]]:
    """Return figures of the file's header that the report does not contain.

    Each has a name, a share, and whether the fold was used in training; None if it has no fold.
    """
    figures = []
    for what, share in found.info.accuracy.items():
        fold = descriptions.fold_of(what)
        seen = fold in found.info.folds_seen if fold is not None else None
        known = report.evaluation
        if known and fold == known.fold and abs(share - known.accuracy) < SAME:
            continue
        figures.append((what, share, seen))
    return figures


def _recipe(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """Format the recipe with units; settings that are 0, off or without effect are left out."""
    units = {"_db": "dB", "_s": "s", "_share": "%"}
    rows = []
    unused = () if recipe.get("teacher") else _OF_A_TEACHER
    for name, value in recipe.items():
        if value in (0, "", None) or name in unused:
            continue
        ending = next((end for end in units if name.endswith(end)), "")
        title = name.removesuffix("_db").removesuffix("_s").replace("_", " ")
        title = {"ema": "EMA of the weights", "batch": "batch size"}.get(title, title)
        if value is True:
            text = "yes"
        elif name in _FILES:
            text = f"SHA-256 {str(value)[:12]}…"
        elif ending and isinstance(value, (int, float)):
            text = f"{100 * value if ending == '_share' else value:g} {units[ending]}"
        else:
            text = str(value)
        rows.append((title, text))
    return rows
