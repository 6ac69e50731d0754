"""The sample sounds keep what the Listen page promises: the shipped model is right about them."""

from classifier.views.upload import SAMPLES, sample_names
from ml import checkpoint_info
from ml.audio.decode import read
from ml.inference import Classifier


def test_the_shipped_model_names_each_sample_rightly() -> None:
    classifier = Classifier.load(checkpoint_info.SHIPPED)
    assert len(sample_names()) == 3
    for name in sample_names():
        sound = read(SAMPLES / f"{name}.flac", classifier.info.features.sample_rate)
        best = classifier.predictions(classifier.classify([sound.waveform])[0].probabilities)[0]
        assert best.label == name
        assert best.confidence > 0.5
