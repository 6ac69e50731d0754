"""The request and response of the Audio CNN Visualizer ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import SHAPE, Prediction, Text, example


@example({"audio_data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"})
class Classify(Serializer):
    audio_data = Text(help_text="The audio file, base64-encoded.")


class Grid(Serializer):
    shape = fields.ListField(child=fields.IntegerField(), help_text=SHAPE)
    values = fields.ListField(
        child=fields.ListField(child=fields.FloatField()),
        help_text="Rows of cells; row 0 is the lowest frequency.",
    )


class Waveform(Serializer):
    values = fields.ListField(
        child=fields.FloatField(),
        help_text="Minimum and maximum sample in each of up to 1,000 equal segments, −1 to 1.",
    )
    sample_rate = fields.IntegerField(
        help_text="In Hz; always 44100, as in the Audio CNN Visualizer."
    )
    duration = fields.FloatField(help_text="Length in seconds.")


@example(
    {
        "predictions": [{"class": "chirping_birds", "confidence": 0.924}],
        "visualization": {"conv1": {"shape": [2, 2], "values": [[0.0, 0.4], [1.9, 0.2]]}},
        "input_spectrogram": {"shape": [2, 2], "values": [[-61.2, -40.0], [-12.5, -80.0]]},
        "waveform": {"values": [-0.31, 0.28, -0.12, 0.15], "sample_rate": 44100, "duration": 5.0},
    }
)
class Classification(Serializer):
    predictions = Prediction(many=True, help_text="The top three classes, most probable first.")
    visualization = fields.DictField(
        child=Grid(),
        help_text="The 37 channel-averaged feature maps by name.",
    )
    input_spectrogram = Grid(help_text="Log-mel spectrogram in dB.")
    waveform = Waveform(help_text="Waveform envelope for plotting.")
