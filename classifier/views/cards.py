"""The card of a result, as a download of its owner and for the previews of its share link."""

from pathlib import Path
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header

from classifier import storage
from classifier.checkpoints.class_names import display_name
from classifier.models import Analysis, State
from classifier.services import result_card
from classifier.services.result_card import Card, Row
from classifier.templatetags.sound import percent, predicted, seconds
from classifier.views import recording
from classifier.views.media import private
from classifier.views.readers import Reader

SHOWN_ROWS = 3


@private
def card(request: HttpRequest, reader: Reader, pk: UUID | None = None) -> HttpResponseBase:
    """Return the card of an analysis; without `pk`, of that of the share link."""
    wanted = reader.link.analysis_id if reader.link else pk
    analysis = get_object_or_404(reader.analyses, pk=wanted, state=State.DONE)
    try:
        png = result_card.draw(card_of(analysis), analysis.folder / storage.SPECTROGRAM)
    except FileNotFoundError as error:
        raise Http404 from error
    response = HttpResponse(png, content_type="image/png")
    name = f"{Path(analysis.clip.name).stem}-result.png"
    response["Content-Disposition"] = content_disposition_header(False, name) or ""
    return response


def card_of(analysis: Analysis) -> Card:
    """Return what the card of a finished analysis says; of a recording, its commonest labels."""
    clip, metadata = analysis.clip, analysis.metadata
    duration_s = clip.duration_s or 0.0
    length = seconds(duration_s)
    if metadata and metadata.is_long(duration_s):
        title = recording.title(analysis.event_count or 0, duration_s, clip.silent)
        return Card(title, "", length, _label_rows(analysis))
    confidence = "" if analysis.not_sure else percent(analysis.confidence)
    rows = () if clip.silent else _prediction_rows(analysis)
    return Card(predicted(analysis), confidence, length, rows)


def _prediction_rows(analysis: Analysis) -> tuple[Row, ...]:
    return tuple(
        Row(display_name(one["class"]), percent(one["confidence"]), one["confidence"])
        for one in analysis.predictions[:SHOWN_ROWS]
    )


def _label_rows(analysis: Analysis) -> tuple[Row, ...]:
    found = list(analysis.events.labels()[:SHOWN_ROWS])
    return tuple(
        Row(display_name(row["label"]), f"{row['events']} ×", row["events"] / found[0]["events"])
        for row in found
    )
