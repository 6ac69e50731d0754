"""One example for each name of a field, wherever it stands; a test sees that none is missing."""

from typing import Any

from classifier.services.exports.batch_files import COLUMNS

UUID = "9f1c2b7e-3f4a-4d52-8a39-0d6c2f1e7b10"
MOMENT = "2026-11-22T09:14:03.512000Z"
CHECKPOINT = "esc50-folds1234@4f6a1c0d9b2e"
MAP = {
    "url": f"/media/analyses/{UUID}/maps/layer4.png",
    "shape": [4, 10],
    "channels": 512,
    "low": 0.0,
    "high": 1.73214,
}
GRID = {"shape": [2, 3], "values": [[0.1, 0.2, 0.3], [0.0, 0.5, 1.0]]}
TOTALS = {
    "total": 40,
    "done": 34,
    "running": 0,
    "waiting": 0,
    "failed": 3,
    "cancelled": 0,
    "refused": 1,
    "duplicate": 2,
}
FEATURES = {
    "n_fft": 1024,
    "hop_samples": 512,
    "mels": 128,
    "f_min_hz": 20.0,
    "f_max_hz": 16000.0,
    "mel_scale": "slaney",
    "mean_db": -22.8373,
    "deviation_db": 33.061,
}
INSTALLED = {
    "default": True,
    "sha256": "4f6a1c0d9b2e7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size_bytes": 42663212,
    "architecture": "AudioCNN",
    "classes": ["airplane", "breathing", "brushing_teeth"],
    "sample_rate": 32000,
    "window_s": 5.0,
    "features": FEATURES,
    "temperature": 0.543,
    "folds_seen": [1, 2, 3, 4],
    "accuracy": {},
    "recipe": {"epochs": 150, "batch": 32, "learning_rate": 0.0015},
    "data": "ESC-50 (K. J. Piczak, 2015)",
    "data_licence": "CC BY-NC 3.0",
    "notes": ["The temperature is esc50-folds123's, fitted on fold 4."],
}
FILE = {name: column.example for name, column in COLUMNS.items()}
ROW = {
    "id": UUID,
    "clip": UUID,
    "name": "dawn.wav",
    "state": "done",
    "step": None,
    "progress": 1.0,
    "label": "chirping_birds",
    "confidence": 0.924,
    "duration_s": 5.0,
    "checkpoint": CHECKPOINT,
    "created_at": MOMENT,
    "finished_at": MOMENT,
    "error": None,
}
INSPECTION = {
    "kind": "sound",
    "window": 0,
    "map": "",
    "figures": {"original": 0.924, "kept": 0.961, "rest": 0.083},
    "files": {"kept.flac": f"/media/inspections/{UUID}/kept.flac"},
}
TIMINGS = {
    "decoding_s": 0.0121,
    "classifying_s": 0.0432,
    "rendering_s": 0.0514,
    "chunk_clips": 1,
}
EXAMPLES: dict[str, Any] = {
    **INSPECTION,
    **FEATURES,
    **INSTALLED,
    **TOTALS,
    **FILE,
    **ROW,
    **TIMINGS,
    "again": True,
    "analyses": [ROW],
    "analysis": UUID,
    "batch": UUID,
    "audio": f"/media/clips/{UUID}/audio",
    "audio_data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEA",
    "channels": 1,
    "checkpoint_page": "/models/#esc50-folds1234",
    "cancelled_at": None,
    "cancelled_now": 12,
    "class": "chirping_birds",
    "closed_at": MOMENT,
    "code": "not_found",
    "count": 12,
    "created_after": "2026-11-22T09:00:00Z",
    "created_before": "2026-11-23T09:00:00Z",
    "cursor": "cD0yMDI2LTExLTIyKzA5JTNBMTQlM0EwMy41MTIlMkIwMCUzQTAw",
    "detail": "There is nothing here.",
    "duplicate": False,
    "duration": 5.0,
    "error": {
        "code": "damaged",
        "detail": "The sound breaks off.",
        "hint": "Copy it from its source again.",
    },
    "expires_at": "2026-12-22T09:14:03.512000Z",
    "expires_in_days": 30,
    "file": "(the bytes of dawn.wav)",
    "first_used_at": MOMENT,
    "format": "WAV",
    "high": 1.73214,
    "hint": "Check the address, and that the token belongs to the owner.",
    "identity": CHECKPOINT,
    "input_spectrogram": GRID,
    "installed": INSTALLED,
    "known": False,
    "labels": [{"label": "chirping_birds", "count": 12}],
    "last_used_at": MOMENT,
    "limit": 50,
    "low": 0.0,
    "maps": {"layer4": MAP},
    "min_confidence": 0.8,
    "notice": None,
    "next": "http://localhost:8000/api/v1/analyses/?cursor=cD0yMDI2LTExLTIyKzA5JTNBMTQlM0EwMy41MTIlMkIwMCUzQTAw",
    "password": "correct horse battery staple",
    "predictions": [{"class": "chirping_birds", "confidence": 0.924}],
    "previous": None,
    "results": [],
    "retried_now": 3,
    "sample_rate": 44100,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "shape": [4, 10],
    "size_bytes": 441044,
    "shown_from_s": 0.0,
    "windows": [],
    "attribution": [
        {
            "label": "chirping_birds",
            "url": f"/media/analyses/{UUID}/maps/attribution.0.png",
            "shape": [64, 105],
            "logit": 6.31,
        }
    ],
    "start_s": 2.5,
    "logit": 6.31,
    "spectrogram": f"/media/analyses/{UUID}/spectrogram.png",
    "timings": TIMINGS,
    "totals": TOTALS,
    "token": "4bd0e6a3c1…",
    "url": MAP["url"],
    "username": "anna",
    "values": GRID["values"],
    "visualization": {"conv1": GRID},
    "waveform": {"values": [-0.12, 0.11], "sample_rate": 44100, "duration": 5.0},
}
# Where a name means something else: by a part of the path's or the schema's name.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "batch": {"name": "field trip", "state": "closed", "files": [FILE]},
    "token": {"name": "garden box"},
    "checkpoint": {"analyses": 12},
}
