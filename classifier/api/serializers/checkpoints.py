"""Checkpoints ↔ JSON. A `CheckpointRow` takes what `checkpoints.py` here puts together."""

from rest_framework import serializers


class Features(serializers.Serializer):
    """How a waveform becomes the log-mel spectrogram that the network is shown."""

    n_fft = serializers.IntegerField(help_text="Samples in a frame of the Fourier transform.")
    hop_samples = serializers.IntegerField(help_text="Samples from one frame to the next.")
    mels = serializers.IntegerField(help_text="How many mel bands.")
    f_min_hz = serializers.FloatField(help_text="Lower end of the lowest band, in Hz.")
    f_max_hz = serializers.FloatField(help_text="Upper end of the highest band, in Hz.")
    mel_scale = serializers.CharField(help_text="Which mel scale the bands follow: slaney or htk.")
    mean_db = serializers.FloatField(
        help_text="Mean of the training sounds in dB, which is subtracted."
    )
    deviation_db = serializers.FloatField(
        help_text="Standard deviation of the training sounds in dB, which is divided by."
    )


class InstalledCheckpoint(serializers.Serializer):
    default = serializers.BooleanField(help_text="Whether it listens where no checkpoint is named.")
    sha256 = serializers.CharField(help_text="SHA-256 of the file, in hexadecimal digits.")
    size_bytes = serializers.IntegerField(help_text="Size of the file in bytes.")
    architecture = serializers.CharField(
        source="info.architecture", help_text="The network that the weights belong to."
    )
    classes = serializers.ListField(
        source="info.classes",
        child=serializers.CharField(),
        help_text="Every label that it can give, in the order of the network's outputs.",
    )
    sample_rate = serializers.IntegerField(
        source="info.features.sample_rate",
        help_text="The rate in Hz at which it listens; every sound is brought to it.",
    )
    window_s = serializers.FloatField(
        source="info.features.window_s", help_text="Seconds of sound that it hears at once."
    )
    features = Features(
        source="info.features", help_text="How a sound becomes what the network is shown."
    )
    temperature = serializers.FloatField(
        source="info.temperature",
        help_text="What the network's outputs are divided by before they become confidences.",
    )
    folds_seen = serializers.ListField(
        source="info.folds_seen",
        child=serializers.IntegerField(),
        help_text="The parts of the data that it learned from; the others it never heard.",
    )
    accuracy = serializers.DictField(
        source="info.accuracy",
        child=serializers.FloatField(),
        help_text="Share of right answers, 0 to 1, by what was measured.",
    )
    recipe = serializers.DictField(
        source="info.recipe", help_text="How it was trained: the settings of that run."
    )
    data = serializers.CharField(  # type: ignore[assignment]
        source="info.data", help_text="The sounds that it learned from."
    )
    data_licence = serializers.CharField(
        source="info.data_licence", help_text="The licence of those sounds."
    )
    notes = serializers.ListField(
        source="info.notes",
        child=serializers.CharField(),
        help_text="Sentences that belong beside the figures.",
    )


class CheckpointRow(serializers.Serializer):
    checkpoint = serializers.CharField(help_text="What analyses name it by, name@sha256.")
    installed = InstalledCheckpoint(
        allow_null=True,
        help_text="What its file says of itself; null if it made analyses of yours "
        "and is no longer installed.",
    )
    analyses = serializers.IntegerField(
        help_text="How many of your analyses it made, or was asked to."
    )
    first_used_at = serializers.DateTimeField(
        allow_null=True, help_text="The oldest of those was asked for, UTC; null without any."
    )
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="The newest of those was asked for, UTC; null without any."
    )


class Checkpoints(serializers.Serializer):
    results = CheckpointRow(
        many=True, help_text="The installed ones, then others, last used first."
    )
