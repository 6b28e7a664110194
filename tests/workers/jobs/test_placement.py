"""Placement: the least cost that meets the deadline."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import Unavailable
from workers.jobs.placement import TPU_HINT, Needs, Offer, place

CPU = Offer("cpu", Decimal("0.00001"), speed=1.0, free_slots=2, memory_bytes=8 << 30)
GPU = Offer("gpu", Decimal("0.0007"), speed=30.0, free_slots=1, memory_bytes=40 << 30)
TPU = Offer("tpu", Decimal("0.0003"), speed=30.0, free_slots=1, unusable=TPU_HINT)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(work_s=3600), "cpu"),  # 0.036 against 0.084
        (Needs(work_s=3600, deadline_s=600), "gpu"),
        (Needs(work_s=60, memory_bytes=20 << 30), "gpu"),
        (Needs(device="gpu"), "gpu"),
        (Needs(work_s=1e9, deadline_s=1), "gpu"),  # nothing is in time: the fastest
    ],
)
def test_places(needs: Needs, expected: str) -> None:
    assert place(needs, [CPU, GPU, TPU]) == expected


def test_a_tpu_without_torch_xla_says_so() -> None:
    with pytest.raises(Unavailable, match="torch_xla is not installed"):
        place(Needs(device="tpu"), [CPU, TPU])


def test_a_job_too_large_for_all_is_told_why() -> None:
    with pytest.raises(Unavailable, match=r"cpu: needs .* bytes of memory"):
        place(Needs(memory_bytes=1 << 50), [CPU])


OFFERS = st.lists(
    st.builds(
        Offer,
        worker_class=st.sampled_from(["cpu", "gpu", "tpu", "a", "b"]),
        price=st.decimals("0.000001", "1", places=6),
        speed=st.floats(0.1, 100),
        free_slots=st.integers(0, 3),
    ),
    min_size=1,
    unique_by=lambda offer: offer.worker_class,
)


@given(st.floats(1, 1e6), st.floats(1, 1e6), OFFERS)
def test_nothing_cheaper_would_have_been_in_time(
    work_s: float, deadline_s: float, offers: list[Offer]
) -> None:
    chosen = place(Needs(work_s=work_s, deadline_s=deadline_s), offers)
    by_name = {offer.worker_class: offer for offer in offers}

    def seconds(offer: Offer) -> float:
        return work_s / offer.speed * (1 if offer.free_slots else 2)

    def cost(offer: Offer) -> float:
        return float(offer.price) * work_s / offer.speed

    punctual = [offer for offer in offers if seconds(offer) <= deadline_s]
    if punctual:
        assert by_name[chosen] in punctual
        assert cost(by_name[chosen]) <= min(map(cost, punctual)) * (1 + 1e-9)
    else:
        assert seconds(by_name[chosen]) <= min(map(seconds, offers)) * (1 + 1e-9)


def test_layers_may_wait_outside_memory_but_a_roomier_slot_is_preferred() -> None:
    needs = Needs(work_s=60, memory_bytes=20 << 30, least_bytes=4 << 30)
    assert place(needs, [CPU]) == "cpu"
    roomy = Offer("tpu", CPU.price, speed=1.0, free_slots=2, memory_bytes=64 << 30)
    assert place(needs, [CPU, roomy]) == "tpu"
    with pytest.raises(Unavailable, match="needs 9,663,676,416 bytes of memory"):
        place(Needs(memory_bytes=20 << 30, least_bytes=9 << 30), [CPU])
