"""Adaptive practice: ability and difficulty from answers, and the exercise that teaches most next.

The one-parameter logistic model (Rasch 1960); a normal prior gives everybody an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROUNDS, _PRIOR = 50, 1.0  # Newton steps; the prior's precision, in logits


@dataclass(frozen=True)
class Rasch:
    """Logits: `ability` (learners,), `difficulty` (exercises,)."""

    ability: np.ndarray
    difficulty: np.ndarray

    def chance(self) -> np.ndarray:
        """The chance of a right answer, (learners, exercises)."""
        return 1 / (1 + np.exp(self.difficulty[None, :] - self.ability[:, None]))


def fit(answers: np.ndarray) -> Rasch:
    """Fit to answers (learners, exercises) of 1, 0 and NaN where there is none.

    The greatest posterior, by Newton's step in ability and in difficulty by turns.
    """
    seen = ~np.isnan(answers)
    right = np.where(seen, answers, 0.0)
    found = Rasch(np.zeros(answers.shape[0]), np.zeros(answers.shape[1]))
    for _ in range(_ROUNDS):
        ability = found.ability + _step(found, right, seen, found.ability, axis=1, sign=1)
        found = Rasch(ability, found.difficulty)
        difficulty = found.difficulty + _step(found, right, seen, found.difficulty, axis=0, sign=-1)
        found = Rasch(ability, difficulty)
    return found


def _step(
    at: Rasch, right: np.ndarray, seen: np.ndarray, values: np.ndarray, *, axis: int, sign: int
) -> np.ndarray:
    chance = at.chance()
    gradient = sign * ((right - chance) * seen).sum(axis=axis) - _PRIOR * values
    return gradient / ((chance * (1 - chance) * seen).sum(axis=axis) + _PRIOR)


def choose(answers: np.ndarray, model: Rasch) -> np.ndarray:
    """The next exercise of each learner: the unanswered one of most information; -1 where none is.

    Information of an answer is p(1 - p): greatest where the chance is even.
    """
    chance = model.chance()
    information = np.where(np.isnan(answers), chance * (1 - chance), -1.0)
    best = information.argmax(axis=1)
    return np.where(information.max(axis=1) < 0, -1, best)


def held_out(answers: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Log loss on a tenth of the answers, beside the exercise's own mean (one of each added)."""
    places = np.argwhere(~np.isnan(answers))
    chosen = np.random.default_rng(seed).permutation(len(places))[: max(len(places) // 10, 1)]
    rows, columns = places[chosen].T
    kept = answers.copy()
    kept[rows, columns] = np.nan
    seen = ~np.isnan(kept)
    means = (np.where(seen, kept, 0).sum(axis=0) + 1) / (seen.sum(axis=0) + 2)
    truth = answers[rows, columns]
    return {
        "log_loss": _log_loss(truth, fit(kept).chance()[rows, columns]),
        "log_loss_of_exercise_mean": _log_loss(truth, means[columns]),
    }


def _log_loss(truth: np.ndarray, chance: np.ndarray) -> float:
    return float(-(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)).mean())
