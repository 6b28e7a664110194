"""Recordings as an Audio Spectrogram Transformer reads them: decoded with limits, made log-mel.

Settings stand in the folder's `config.json` and `preprocessor_config.json`, as transformers has
them. Free of torch.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import soundfile

from workers.engine.data.log_mel import Signal, frame_samples, log_mel, resampled
from workers.engine.data.model_files import read_json
from workers.engine.data.rows import RowError
from workers.engine.data.samples import Decoded, Values
from workers.engine.errors import ModelError

FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC"})
MOST_SECONDS = 600
MOST_CHANNELS = 8
RATES = range(1000, 384_001)  # samples a second


@dataclass(frozen=True)
class AudioFormat:
    """The spectra that a model takes: `frames` of `bins`, and how they are normalised."""

    rate: int
    frames: int
    bins: int
    patch: int
    strides: tuple[int, int]  # of patches, in bins and in frames
    mean: float
    std: float

    noun = "audio"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What a model's folder says.

        Raises:
            ModelError: it does not say it, or it is no Audio Spectrogram Transformer.
        """
        try:
            config = read_json(folder / "config.json")
            given = read_json(folder / "preprocessor_config.json")
            return cls(
                rate=int(given["sampling_rate"]),
                frames=int(config["max_length"]),
                bins=int(config["num_mel_bins"]),
                patch=int(config["patch_size"]),
                strides=(int(config["frequency_stride"]), int(config["time_stride"])),
                mean=float(given["mean"]),
                std=float(given["std"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder.name} is no model of recordings ({error!r})") from error

    @property
    def tokens(self) -> int:
        return self._patches(self.frames)

    def decode(self, content: bytes) -> Decoded:
        """(frames, bins), with zeros after a shorter recording's end. Raises RowError."""
        heard, rate = _opened(content)
        signal = resampled(heard, rate, self.rate)
        if len(signal) < frame_samples(self.rate):
            fix = "record at least 25 ms, or leave it out."
            raise RowError("audio", "too_short", "the recording is too short", fix)
        spectra = log_mel(signal, self.rate, self.bins)
        values = np.zeros((self.frames, self.bins), dtype=np.float32)
        kept = spectra[: self.frames]
        values[: len(kept)] = kept
        return Decoded(values, self._patches(max(self.frames, len(spectra))), heard.nbytes)

    def normalised(self, values: Values) -> npt.NDArray[np.float32]:
        """(B, frames, bins)."""
        scaled: npt.NDArray[np.float32] = (values - np.float32(self.mean)) / np.float32(
            2 * self.std
        )
        return scaled

    def _patches(self, frames: int) -> int:
        """Patches of so many frames, the last one whole."""
        over_bins = (self.bins - self.patch) // self.strides[0] + 1
        return over_bins * (-(-(frames - self.patch) // self.strides[1]) + 1)


def audio_patches(config: Mapping[str, Any]) -> int:
    """How many patches a model cuts its longest recording into, by its configuration."""
    frequency, time = (
        (int(config[size]) - int(config["patch_size"])) // int(config[stride]) + 1
        for size, stride in (("num_mel_bins", "frequency_stride"), ("max_length", "time_stride"))
    )
    return frequency * time


def _opened(content: bytes) -> tuple[Signal, int]:
    """One channel, the mean of all, and its samples a second."""
    fix = "send a whole WAV or FLAC file."
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file)
            samples = file.read(dtype="float64", always_2d=True)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        reason = f"it is no recording that is known ({error})"
        raise RowError("audio", "not_audio", reason, fix) from error
    if not np.isfinite(samples).all():
        reason = "the recording holds samples that are no numbers"
        raise RowError("audio", "not_finite", reason, "save it again.")
    return samples.mean(1), rate


def _check(file: Any) -> None:
    """Raises RowError, before anything is unfolded."""
    if file.format not in FORMATS:
        fix = "save it as WAV or FLAC."
        raise RowError("audio", "other_format", f"the recording is {file.format}", fix)
    if file.samplerate not in RATES or not 1 <= file.channels <= MOST_CHANNELS:
        reason = f"it has {file.channels} channels of {file.samplerate:,} samples a second"
        raise RowError("audio", "odd_recording", reason, "save it as mono at 16,000.")
    if file.frames > MOST_SECONDS * file.samplerate:
        reason = f"the recording is {file.frames / file.samplerate:,.0f} s long"
        raise RowError("audio", "too_long", reason, f"cut it; {MOST_SECONDS} s are read at most.")
