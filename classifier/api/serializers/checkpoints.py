"""Checkpoints ↔ JSON. `classifier.api.views.checkpoints` builds the input of `CheckpointRow`."""

import dataclasses

from rest_framework import fields
from rest_framework.serializers import Serializer

from ml.checkpoint_info import CheckpointInfo


class Features(Serializer):
    """How a waveform becomes the log-mel spectrogram that the network is shown."""

    n_fft = fields.IntegerField(help_text="Samples in a frame of the Fourier transform.")
    hop_samples = fields.IntegerField(help_text="Samples from one frame to the next.")
    mels = fields.IntegerField(help_text="How many mel bands.")
    f_min_hz = fields.FloatField(help_text="Lower end of the lowest band, in Hz.")
    f_max_hz = fields.FloatField(help_text="Upper end of the highest band, in Hz.")
    mel_scale = fields.CharField(help_text="Which mel scale the bands follow: slaney or htk.")
    mean_db = fields.FloatField(help_text="Mean of the training sounds in dB, which is subtracted.")
    deviation_db = fields.FloatField(
        help_text="Standard deviation of the training sounds in dB, which is divided by."
    )


class InstalledCheckpoint(Serializer):
    # An `inventory.Installed`; what the file's header says is under `info` there.
    default = fields.BooleanField(help_text="Whether it listens where no checkpoint is named.")
    sha256 = fields.CharField(help_text="SHA-256 of the file, in hexadecimal digits.")
    size_bytes = fields.IntegerField(help_text="Size of the file in bytes.")
    architecture = fields.CharField(help_text="The network that the weights belong to.")
    classes = fields.ListField(
        child=fields.CharField(),
        help_text="Every label that it can give, in the order of the network's outputs.",
    )
    sample_rate = fields.IntegerField(
        source="info.features.sample_rate",
        help_text="The rate in Hz at which it listens; every sound is brought to it.",
    )
    window_s = fields.FloatField(
        source="info.features.window_s", help_text="Seconds of sound that it hears at once."
    )
    features = Features(help_text="How a sound becomes what the network is shown.")
    temperature = fields.FloatField(
        help_text="What the network's outputs are divided by before they become confidences."
    )
    folds_seen = fields.ListField(
        child=fields.IntegerField(),
        help_text="The parts of the data that it learned from; the others it never heard.",
    )
    accuracy = fields.DictField(
        child=fields.FloatField(), help_text="Share of right answers, 0 to 1, by what was measured."
    )
    recipe = fields.DictField(help_text="How it was trained: the settings of that run.")
    data = fields.CharField(  # type: ignore[assignment]
        help_text="The sounds that it learned from."
    )
    data_licence = fields.CharField(help_text="The licence of those sounds.")
    notes = fields.ListField(
        child=fields.CharField(), help_text="Sentences that belong beside the figures."
    )

    def get_fields(self) -> dict[str, fields.Field]:
        found = super().get_fields()
        for name in found.keys() & {one.name for one in dataclasses.fields(CheckpointInfo)}:
            found[name].source = f"info.{name}"
        return found


class CheckpointRow(Serializer):
    checkpoint = fields.CharField(help_text="What analyses name it by, name@sha256.")
    installed = InstalledCheckpoint(
        allow_null=True,
        help_text="What its file says of itself; null if it made analyses of yours "
        "and is no longer installed.",
    )
    analyses = fields.IntegerField(help_text="How many of your analyses it made, or was asked to.")
    first_used_at = fields.DateTimeField(
        allow_null=True, help_text="The oldest of those was asked for, UTC; null without any."
    )
    last_used_at = fields.DateTimeField(
        allow_null=True, help_text="The newest of those was asked for, UTC; null without any."
    )


class Checkpoints(Serializer):
    results = CheckpointRow(
        many=True, help_text="The installed ones, then others, last used first."
    )
