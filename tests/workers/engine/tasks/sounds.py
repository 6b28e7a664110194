"""Recordings: tones made here, and digits that espeak-ng speaks."""

from __future__ import annotations

import io
import subprocess
from typing import Any

import numpy as np
import soundfile

from tests.workers.engine.tasks.media import Named
from workers.engine.base.recordings import AstSize

TONES_SIZE = AstSize(frames=32, bins=32, patch=16, hidden=16, layers=2, heads=2)  # 4 patches
DIGITS_SIZE = AstSize(frames=96, bins=32, patch=16, hidden=48, layers=2, heads=4)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def sound(samples: Any, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Samples from −1 to 1 as a file."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def tone(hertz: float, seconds: float = 0.3, rate: int = 16_000, seed: int = 0) -> Any:
    """A tone in a little noise."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(time))
    return 0.4 * np.sin(2 * np.pi * hertz * time) + 0.02 * noise


def tones(count: int = 24, seed: int = 0) -> Named:
    """Low, middle and high tones, some in FLAC, some at another rate, some in stereo."""
    found = []
    for n in range(count):
        hertz = (300, 1200, 4000)[n % 3] * (1 + 0.02 * (n % 5))
        rate = (16_000, 22_050, 44_100)[n % 7 % 3]
        samples = tone(hertz, 0.25 + 0.01 * (n % 4), rate, seed * 1000 + n)
        if n % 4 == 1:
            samples = np.stack([samples, 0.5 * samples], axis=1)
        found.append(
            (("low", "middle", "high")[n % 3], sound(samples, rate, "FLAC" if n % 2 else "WAV"))
        )
    return found


def spoken(word: str, voice: str, *, speed: int, pitch: int) -> bytes:
    """A word as espeak-ng says it, in WAV at 22,050 samples a second."""
    asked = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), word]
    return subprocess.run(asked, capture_output=True, check=True).stdout
