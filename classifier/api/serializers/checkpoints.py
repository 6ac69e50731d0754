"""Checkpoints ↔ JSON. `classifier.api.views.checkpoints` builds the input."""

import dataclasses

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import example
from ml.checkpoint_info import CheckpointInfo

CHECKPOINT = {
    "checkpoint": "esc50-folds1234@4f6a1c0d9b2e",
    "installed": None,
    "analyses": 12,
    "first_used_at": "2026-11-22T09:00:00Z",
    "last_used_at": "2026-11-24T17:30:00Z",
}


class Features(Serializer):
    """How a waveform becomes the log-mel spectrogram that the network takes."""

    n_fft = fields.IntegerField(help_text="FFT size in samples.")
    hop_samples = fields.IntegerField(help_text="Hop between frames in samples.")
    mels = fields.IntegerField(help_text="Number of mel bands.")
    f_min_hz = fields.FloatField(help_text="Lower edge of the lowest band in Hz.")
    f_max_hz = fields.FloatField(help_text="Upper edge of the highest band in Hz.")
    mel_scale = fields.CharField(help_text="Mel scale: slaney or htk.")
    mean_db = fields.FloatField(
        help_text="Mean of the training data in dB; subtracted from the input."
    )
    deviation_db = fields.FloatField(
        help_text="Standard deviation of the training data in dB; the input is divided by it."
    )


class Rejection(Serializer):
    """When a prediction is not sure, and how often that was right in the evaluation."""

    score = fields.CharField(help_text="What is compared with the threshold.")
    threshold = fields.FloatField(help_text="A clip with a lower score is not sure.")
    fold = fields.IntegerField(help_text="The fold that the threshold was fitted on.")
    right_flagged = fields.FloatField(
        help_text="Share of that fold's correct predictions that are not sure, 0 to 1."
    )
    wrong_flagged = fields.FloatField(
        help_text="Share of that fold's wrong predictions that are not sure, 0 to 1."
    )
    outside_flagged = fields.DictField(
        child=fields.FloatField(),
        help_text="Share of sounds outside the classes that are not sure, 0 to 1, by kind.",
    )
    auroc = fields.DictField(
        child=fields.FloatField(),
        help_text="How well the score separates these sounds from correct predictions, by kind: "
        "1 perfectly, 0.5 by chance.",
    )


class InstalledCheckpoint(Serializer):
    # Serializes an `inventory.Installed`; `info` holds the header of the file.
    default = fields.BooleanField(
        help_text="Whether this checkpoint is used when none is requested."
    )
    sha256 = fields.CharField(help_text="SHA-256 of the file, hexadecimal.")
    size_bytes = fields.IntegerField(help_text="Size of the file in bytes.")
    architecture = fields.CharField(help_text="Network architecture.")
    classes = fields.ListField(
        child=fields.CharField(),
        help_text="Class names in the order of the network's outputs.",
    )
    sample_rate = fields.IntegerField(
        source="info.features.sample_rate",
        help_text="Sample rate of the input in Hz; clips are resampled to it.",
    )
    window_s = fields.FloatField(
        source="info.features.window_s", help_text="Length of a window in seconds."
    )
    features = Features(help_text="Spectrogram parameters.")
    temperature = fields.FloatField(
        help_text="Calibration temperature: logits are divided by it before the softmax."
    )
    folds_seen = fields.ListField(
        child=fields.IntegerField(),
        help_text="Folds of the dataset used for training.",
    )
    accuracy = fields.DictField(
        child=fields.FloatField(),
        help_text='Measured accuracies, 0 to 1, by the data used, for example "fold 4".',
    )
    recipe = fields.DictField(help_text="Training settings.")
    data = fields.CharField(  # type: ignore[assignment]
        help_text="Training data."
    )
    data_licence = fields.CharField(help_text="Licence of the training data.")
    notes = fields.ListField(
        child=fields.CharField(), help_text="Notes to show beside the accuracy."
    )

    rejection = Rejection(
        allow_null=True,
        help_text="When a prediction is not sure; null if the checkpoint never says so.",
    )

    def get_fields(self) -> dict[str, fields.Field]:
        found = super().get_fields()
        for name in found.keys() & {one.name for one in dataclasses.fields(CheckpointInfo)}:
            found[name].source = f"info.{name}"
        return found


@example(CHECKPOINT)
class CheckpointDetail(Serializer):
    checkpoint = fields.CharField(help_text="Name and digest as name@sha256, as in analyses.")
    installed = InstalledCheckpoint(
        allow_null=True,
        help_text="Contents of the file's header; null if the checkpoint is no longer installed "
        "and is listed only because you have analyses made with it.",
    )
    analyses = fields.IntegerField(
        help_text="Number of your analyses that use or request this checkpoint."
    )
    first_used_at = fields.DateTimeField(
        allow_null=True,
        help_text="Time of the oldest of these analyses, UTC; null if there are none.",
    )
    last_used_at = fields.DateTimeField(
        allow_null=True,
        help_text="Time of the newest of these analyses, UTC; null if there are none.",
    )


@example({"results": [CHECKPOINT]})
class CheckpointList(Serializer):
    results = CheckpointDetail(
        many=True,
        help_text="Installed checkpoints first, then the others, most recently used first.",
    )
