"""The shipped checkpoint classifies the sample sounds of the Upload page, and explains them."""

from classifier.services.samples import sample_names, sample_path
from ml import checkpoint_info
from ml.audio.decode import read
from ml.explain.verdict import Verdict
from ml.inference import Classifier
from tasks.inspect import explanation


def test_each_sample_is_classified_correctly_and_explained_convincingly() -> None:
    classifier = Classifier.load(checkpoint_info.SHIPPED)
    assert len(sample_names()) == 4
    for name in sample_names():
        sound = read(sample_path(name), classifier.info.features.sample_rate)
        best = classifier.predictions(classifier.classify([sound.waveform])[0].probabilities)[0]
        assert best.label == name
        assert best.confidence > 0.5
        figures = explanation(classifier, sound.waveform, name).figures
        assert figures["verdict"] == Verdict.CONVINCING
