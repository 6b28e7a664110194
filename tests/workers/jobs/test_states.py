"""The state machine: walked at random, through the services and writes that real callers use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import Conflict
from workers.jobs.states import FINAL, HELD_BY_WORKER, MOVES, State, check_move


@given(st.lists(st.sampled_from(list(State)), max_size=30))
def test_no_walk_leaves_a_final_state(wishes: list[State]) -> None:
    state, ended = State.VALIDATING, False
    for wish in wishes:
        try:
            check_move(state, wish)
        except Conflict:
            continue
        assert not ended
        state, ended = wish, wish in FINAL


def test_every_state_can_be_reached_and_every_open_one_can_end() -> None:
    reached, todo = {State.VALIDATING}, [State.VALIDATING]
    while todo:
        new = MOVES[todo.pop()] - reached
        reached |= new
        todo += new
    assert reached == set(State)
    for state in set(State) - FINAL:
        assert State.CANCELLED in _closure(state)
        assert State.FAILED in _closure(state)


def test_a_final_state_allows_nothing_and_says_so() -> None:
    with pytest.raises(Conflict, match="it has ended") as raised:
        check_move(State.SUCCEEDED, State.RUNNING)
    assert raised.value.code == "invalid_job_state"


def test_only_a_worker_leads_out_of_the_states_that_it_holds() -> None:
    """A queued or paused job never jumps to success: somebody must have run it."""
    for state in set(State) - HELD_BY_WORKER:
        assert State.SUCCEEDED not in MOVES[state]


def test_what_a_worker_holds_waits_again_only_once_it_runs() -> None:
    """Only the worker's own ending may queue a job: a queued one has no open attempt."""
    assert [s for s in HELD_BY_WORKER if State.QUEUED in MOVES[s]] == [State.RUNNING]


def _closure(state: State) -> set[State]:
    found, todo = set(), [state]
    while todo:
        for new in MOVES[todo.pop()] - found:
            found.add(new)
            todo.append(new)
    return found
