"""The shipped checkpoint classifies the sample sounds of the Upload page correctly."""

from classifier.views.upload import SAMPLES, sample_names
from ml import checkpoint_info
from ml.audio.decode import read
from ml.inference import Classifier


def test_the_shipped_checkpoint_classifies_each_sample_correctly() -> None:
    classifier = Classifier.load(checkpoint_info.SHIPPED)
    assert len(sample_names()) == 3
    for name in sample_names():
        sound = read(SAMPLES / f"{name}.flac", classifier.info.features.sample_rate)
        best = classifier.predictions(classifier.classify([sound.waveform])[0].probabilities)[0]
        assert best.label == name
        assert best.confidence > 0.5
