"""Log-mel spectra as Kaldi makes them, and the Audio Spectrogram Transformer reads them.

Frames of 25 ms each 10 ms; without their mean; x[n] − 0.97·x[n−1]; Hann window; power spectrum of
512 points; triangles that are even on the scale 1127·ln(1 + f/700) from 20 Hz; logarithm.
Sources: Povey et al. 2011 (Kaldi, `compute-fbank-feats`); Gong et al. 2021, arXiv:2104.01778.
Free of torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[Any]

FRAME_S, HOP_S = 0.025, 0.010
EMPHASIS = 0.97
LOWEST_HZ = 20.0
FLOOR = float(np.finfo(np.float32).eps)


def log_mel(signal: Signal, rate: int, bins: int) -> npt.NDArray[np.float32]:
    """(frames, bins), of a signal (samples,) from −1 to 1 at `rate` samples a second.

    There are 1 + (samples − frame) // hop whole frames; at least one is needed.
    """
    frame, hop = frame_samples(rate), round(HOP_S * rate)
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), frame)[::hop]
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    emphasised = (frames - EMPHASIS * before) * np.hanning(frame)
    size = 1 << (frame - 1).bit_length()
    power = np.abs(np.fft.rfft(emphasised, size)) ** 2
    mel = power @ mel_filters(rate, size, bins)
    found: npt.NDArray[np.float32] = np.log(np.maximum(mel, FLOOR)).astype(np.float32)
    return found


def frame_samples(rate: int) -> int:
    """How many samples a frame has."""
    return round(FRAME_S * rate)


@lru_cache(maxsize=8)
def mel_filters(rate: int, size: int, bins: int) -> Signal:
    """(size // 2 + 1, bins): how much each frequency of a spectrum counts for each triangle."""
    scale = _mel(np.arange(size // 2 + 1) * rate / size)[:, None]
    edges = np.linspace(_mel(LOWEST_HZ), _mel(rate / 2), bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (scale - left) / (centre - left), (right - scale) / (right - centre)
    found: Signal = np.maximum(0.0, np.minimum(rising, falling))
    return found


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)


def resampled(signal: Signal, rate: int, wanted: int) -> Signal:
    """The signal (samples,) at another rate: its spectrum cut, or filled up with nothing."""
    if rate == wanted or not len(signal):
        return signal
    count = max(1, round(len(signal) * wanted / rate))
    spectrum = np.fft.rfft(signal)
    kept = np.zeros(count // 2 + 1, dtype=spectrum.dtype)
    both = min(len(kept), len(spectrum))
    kept[:both] = spectrum[:both]
    fewer = min(count, len(signal))
    if fewer % 2 == 0:  # at the edge of the narrower spectrum two mirrored frequencies are one
        kept[fewer // 2] *= 2.0 if count < len(signal) else 0.5
    found: Signal = np.fft.irfft(kept, count) * (count / len(signal))
    return found
