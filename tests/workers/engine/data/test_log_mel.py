"""Log-mel spectra against the formula written out, transformers' own, and scipy."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import soundfile
from scipy.signal import resample
from transformers import ASTFeatureExtractor

from tests.workers.engine.tasks.sounds import TONES_SIZE, sound, tone
from workers.engine.base.recordings import audio_base_build
from workers.engine.data import recordings
from workers.engine.data.log_mel import log_mel, mel_filters, resampled
from workers.engine.data.recordings import AudioFormat
from workers.engine.data.rows import RowError

RATE, BINS = 16_000, 32
FORMAT = AudioFormat(
    rate=RATE, frames=32, bins=BINS, patch=16, strides=(16, 16), mean=-4.0, std=4.5
)


def noise(seconds: float = 0.2) -> np.ndarray:  # type: ignore[type-arg]
    return 0.3 * np.random.default_rng(0).normal(size=int(seconds * RATE))


def by_definition(signal: np.ndarray, frame: int, bins: int) -> list[float]:  # type: ignore[type-arg]
    """One frame's log-mel energies: sums as they stand in the books, a number at a time."""
    x = [float(v) for v in signal[160 * frame : 160 * frame + 400]]
    mean = math.fsum(x) / 400
    x = [v - mean for v in x]
    x = [x[0] - 0.97 * x[0], *(x[n] - 0.97 * x[n - 1] for n in range(1, 400))]
    x = [v * (0.5 - 0.5 * math.cos(2 * math.pi * n / 399)) for n, v in enumerate(x)]
    power = []
    for k in range(257):
        re = math.fsum(v * math.cos(2 * math.pi * k * n / 512) for n, v in enumerate(x))
        im = math.fsum(v * math.sin(2 * math.pi * k * n / 512) for n, v in enumerate(x))
        power.append(re * re + im * im)

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    step = (mel(8000) - mel(20)) / (bins + 1)
    found = []
    for number in range(bins):
        left = mel(20) + step * number
        energy = 0.0
        for k, value in enumerate(power):
            place = (mel(k * RATE / 512) - left) / step  # 0 at the left edge, 1 at the top
            energy += value * max(0.0, min(place, 2 - place))
        found.append(math.log(max(energy, 2**-23)))
    return found


@pytest.mark.parametrize("frame", [0, 7])
def test_a_frame_is_what_the_formula_says(frame: int) -> None:
    signal = noise()
    found = log_mel(signal, RATE, BINS)
    assert found.shape == (1 + (len(signal) - 400) // 160, BINS)
    assert found[frame] == pytest.approx(by_definition(signal, frame, BINS), abs=1e-4)


@pytest.mark.parametrize("bins", [32, 64, 128])
def test_spectra_are_those_of_transformers(bins: int) -> None:
    signal = noise(0.5).astype(np.float32)
    theirs = ASTFeatureExtractor(num_mel_bins=bins, max_length=48, do_normalize=False)
    expected = theirs(signal, sampling_rate=RATE, return_tensors="np").input_values[0]
    assert np.allclose(log_mel(signal, RATE, bins), expected, atol=1e-4)


def test_a_tone_is_loudest_where_its_pitch_lies() -> None:
    for hertz in (300, 1200, 4000):
        loudest = log_mel(tone(hertz), RATE, 64).mean(0).argmax()
        bin_of_hertz = mel_filters(RATE, 512, 64)[round(hertz / RATE * 512)].argmax()
        assert abs(int(loudest) - int(bin_of_hertz)) <= 1


def test_silence_is_finite() -> None:
    assert np.isfinite(log_mel(np.zeros(4000), RATE, BINS)).all()


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100])
def test_other_rates_are_resampled_as_scipy_does(rate: int) -> None:
    signal = tone(600, 0.3, rate)
    found = resampled(signal, rate, RATE)
    assert np.allclose(found, resample(signal, round(len(signal) * RATE / rate)), atol=1e-9)


def test_stereo_flac_and_other_rates_are_heard_alike() -> None:
    plain = FORMAT.decode(sound(tone(600), subtype="PCM_24")).values
    stereo = np.stack([tone(600), tone(600)], axis=1)
    other = FORMAT.decode(sound(stereo, kind="FLAC", subtype="PCM_24")).values
    assert np.allclose(other, plain, atol=1e-3)


def test_a_longer_recording_counts_its_patches_and_keeps_its_beginning() -> None:
    short, long = FORMAT.decode(sound(tone(600, 0.2))), FORMAT.decode(sound(tone(600, 1.0)))
    assert short.tokens == FORMAT.tokens == 4
    assert long.tokens == 2 * math.ceil(98 / 16)  # 98 frames
    assert long.values.shape == short.values.shape == (32, BINS)
    assert not short.values[19:].any()


def test_models_of_other_things_are_refused(tmp_path: object) -> None:
    assert AudioFormat.load(audio_base_build(tmp_path / "ast", TONES_SIZE)).tokens == 4  # type: ignore[operator]


def damaged() -> bytes:
    content = sound(tone(600), kind="FLAC")
    return content[:30] + bytes(len(content) - 30)


BROKEN = {
    "text": (b"hello", "no recording that is known"),
    "nothing": (b"", "no recording that is known"),
    "no samples": (sound(np.zeros(0)), "too short"),
    "a click": (sound(np.zeros(100)), "too short"),
    "damaged": (damaged(), "no recording that is known"),
    "ogg": (sound(tone(600), kind="OGG"), "the recording is OGG"),
    "nine channels": (sound(np.zeros((4000, 9))), "it has 9 channels"),
    "no numbers": (sound(np.full(4000, np.nan), subtype="FLOAT"), "samples that are no numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_recording_is_refused_with_a_remedy(name: str) -> None:
    content, message = BROKEN[name]
    with pytest.raises(RowError) as refused:
        FORMAT.decode(content)
    assert message in refused.value.reason
    assert refused.value.fix.endswith(".")


def test_a_recording_that_unfolds_beyond_the_limit_is_not_unfolded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence = sound(np.zeros(16_000 * 60), kind="FLAC")
    assert len(silence) < 20_000
    monkeypatch.setattr(recordings, "MOST_SECONDS", 59)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(RowError, match="the recording is 60 s long"):
        FORMAT.decode(io.BytesIO(silence).getvalue())
