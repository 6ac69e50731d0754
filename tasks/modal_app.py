"""The default checkpoint on a GPU on Modal: `modal deploy tasks/modal_app.py`.

Workers with INFERENCE=modal call `InferenceService.predict` (tasks/remote.py); anyone with a
token can send a sound to `InferenceService.classify`. While there are no calls, nothing runs and
nothing is charged.
"""

import tempfile
from pathlib import Path
from typing import Any

import modal
import numpy as np

from ml import legacy_response, serialization
from ml.audio.decode import Limits, read
from ml.checkpoint_info import default_path
from ml.errors import AudioError
from ml.inference import Classifier
from ml.modal_image import GPU, image
from ml.rendering import spectrogram

SECONDS_AWAKE = 60
MAX_CONTAINERS = 10

# In the container, CHECKPOINT is set to THERE, so both constants are the same path.
SHIPPED = default_path()
THERE = f"/root/ml/weights/{SHIPPED.name}"

app = modal.App(serialization.APP)
service_image = image("ml", packages=("fastapi",), settings={"CHECKPOINT": THERE})
# Under the same name, because the checkpoint's identity begins with it.
service_image = service_image.add_local_file(SHIPPED, THERE)


@app.cls(
    image=service_image,
    gpu=GPU,
    min_containers=0,
    max_containers=MAX_CONTAINERS,
    scaledown_window=SECONDS_AWAKE,
    timeout=120,
    startup_timeout=300,
)
class InferenceService:
    """The inference service.

    A container takes one call at a time, because a Classifier is not thread-safe.
    """

    @modal.enter()
    def load(self) -> None:
        self.classifier = Classifier.load(default_path())

    @modal.method()
    def predict(self, identity: str, waveforms: list[bytes]) -> list[serialization.Plain]:
        """Classify waveforms for a worker.

        Parameters
        ----------
        identity : checkpoint that the caller expects
        waveforms : as `ml.serialization` writes them, at the checkpoint's sample rate

        Returns
        -------
        One result per waveform, as `ml.serialization` writes them.

        Raises
        ------
        ValueError
            Another checkpoint is deployed.
        """
        if identity != self.classifier.identity:
            raise ValueError(
                f"The deployed checkpoint is {self.classifier.identity}, but {identity} was "
                "requested. Deploy again with the worker's CHECKPOINT."
            )
        sounds = [serialization.samples_from_bytes(one) for one in waveforms]
        return [serialization.result_to_plain(one) for one in self.classifier.classify(sounds)]

    @modal.fastapi_endpoint(method="POST", requires_proxy_auth=True)
    def classify(self, question: dict[str, Any]) -> Any:
        """Answer {"audio_data": base64} in the format of Audio CNN Visualizer.

        If the sound cannot be decoded, the status is 400.
        """
        from fastapi.responses import JSONResponse

        try:
            return JSONResponse(self._answer(question.get("audio_data")))
        except AudioError as error:
            return JSONResponse(error.problem.as_dict(), status_code=400)

    def _answer(self, audio_data: object) -> dict[str, Any]:
        """Raises AudioError."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sound"
            path.write_bytes(legacy_response.sound_of(audio_data))
            sound = read(path, self.classifier.info.features.sample_rate, Limits())
        result = self.classifier.classify([sound.waveform])[0]
        decibels = self.classifier.spectrogram(sound.waveform)
        floor = decibels.max() - spectrogram.PICTURE_RANGE_DB
        return legacy_response.answer(
            [one.to_json() for one in self.classifier.predictions(result.probabilities)],
            result.activations.maps,
            np.maximum(decibels, floor),
            spectrogram.peaks(sound.waveform),
            round(sound.duration_s, 3),
        )
