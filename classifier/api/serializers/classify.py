"""The original's request and answer ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import SHAPE, Prediction, Text


class ClassifyForm(Serializer):
    audio_data = Text(help_text="The sound file's bytes as base64.")


class Grid(Serializer):
    shape = fields.ListField(child=fields.IntegerField(), help_text=SHAPE)
    values = fields.ListField(
        child=fields.ListField(child=fields.FloatField()),
        help_text="Rows of cells, row 0 the lowest frequency.",
    )


class Waveform(Serializer):
    values = fields.ListField(
        child=fields.FloatField(),
        help_text="Lowest and highest sample of each of up to 1,000 equal parts, −1 to 1.",
    )
    sample_rate = fields.IntegerField(help_text="Always 44100, in Hz, as the original says.")
    duration = fields.FloatField(help_text="Length in seconds.")


class ClassifyAnswer(Serializer):
    predictions = Prediction(many=True, help_text="The three most confident, best first.")
    visualization = fields.DictField(
        child=Grid(), help_text="The 37 mean feature maps by name; activations have no unit."
    )
    input_spectrogram = Grid(help_text="The log-mel spectrogram in dB.")
    waveform = Waveform(help_text="The waveform, for drawing it.")
