"""Sampling: the distribution drawn from is the one that was asked for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from workers.engine.inference.sampling import Sampler, probabilities
from workers.engine.specs import GenerateSpec

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
# The 99.99 % quantile of chi-squared by degrees of freedom (NIST tables).
CHI_SQUARED = {1: 15.14, 2: 18.42, 3: 21.11, 4: 23.51, 5: 25.74}


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"temperature": 1.7}, {"top_k": 3}, {"top_p": 0.8}, {"top_p": 0.01}],
)
def test_draws_follow_the_distribution_that_transformers_warps_to(
    settings: dict[str, float],
) -> None:
    # given transformers' own warpers
    spec = GenerateSpec(seed=0, **settings)  # type: ignore[arg-type]
    scores = LOGITS[None].clone()
    scores = TemperatureLogitsWarper(float(spec.temperature))(None, scores)
    if spec.top_k:
        scores = TopKLogitsWarper(spec.top_k)(None, scores)
    if spec.top_p < 1:
        scores = TopPLogitsWarper(spec.top_p)(None, scores)
    wanted = scores[0].softmax(0)
    # then the distribution is equal, and eight thousand draws follow it
    assert torch.allclose(probabilities(LOGITS, spec), wanted, atol=1e-6)
    sampler, draws = Sampler(spec), 8_000
    counts = torch.zeros(6)
    for _ in range(draws):
        counts[sampler.draw(LOGITS).token] += 1
    possible = wanted > 0
    assert counts[~possible].sum() == 0
    expected = wanted[possible] * draws
    if possible.sum() > 1:
        chi = ((counts[possible] - expected) ** 2 / expected).sum().item()
        assert chi < CHI_SQUARED[int(possible.sum()) - 1]


def test_temperature_zero_takes_the_likeliest() -> None:
    sampler = Sampler(GenerateSpec(temperature=0))
    assert {sampler.draw(LOGITS).token for _ in range(20)} == {0}


def test_penalties_and_bias_follow_openais_formula() -> None:
    spec = GenerateSpec(
        temperature=0, frequency_penalty=0.31, presence_penalty=0.43, logit_bias=((3, 1.2),)
    )
    sampler, counts, drawn = Sampler(spec), [0] * 6, []
    for _ in range(12):
        adjusted = [
            z + (1.2 if t == 3 else 0) - counts[t] * 0.31 - (counts[t] > 0) * 0.43
            for t, z in enumerate(LOGITS.tolist())
        ]
        wanted = max(range(6), key=lambda t: adjusted[t])
        drawn.append(sampler.draw(LOGITS).token)
        assert drawn[-1] == wanted
        counts[wanted] += 1
    assert len(set(drawn)) > 2


def test_logprobs_are_the_models_own_whatever_the_settings() -> None:
    spec = GenerateSpec(temperature=0.2, logprobs=2, logit_bias=((5, 50.0),), seed=1)
    choice = Sampler(spec).draw(LOGITS)
    logs = LOGITS.log_softmax(0)
    assert choice.token == 5
    assert choice.logprob == pytest.approx(logs[5].item())
    assert [token for token, _ in choice.top] == [0, 1]
    assert Sampler(GenerateSpec(logprobs=0)).draw(LOGITS).top == ()


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40),
    temperature=st.floats(0.01, 2),
    top_p=st.floats(0.001, 1),
    top_k=st.integers(0, 50),
)
def test_probabilities_always_sum_to_one_and_keep_the_likeliest(
    logits: list[float], temperature: float, top_p: float, top_k: int
) -> None:
    spec = GenerateSpec(temperature=temperature, top_p=top_p, top_k=top_k)
    found = probabilities(torch.tensor(logits), spec)
    assert found.sum().item() == pytest.approx(1, abs=1e-4)
    assert bool((found >= 0).all())
    plain = torch.softmax(torch.tensor(logits) / temperature, -1)
    assert found[plain == plain.max()].max() == found.max()  # one of those that are alike
