"""How good quotes were: shares of jobs within each case, by class of work."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tenants.pricing.models import Quote
from tenants.pricing.quotes import QuoteLine
from tests.saas.console.factories import Person, job_make, owner_of
from tests.tenants.costs.factories import resource_make, slot_time
from tests.tenants.pricing.books import charge, credit_give, item, platform_make
from tests.tenants.pricing.test_quotes import quote
from workers.jobs.calibration import Case, calibrated, calibrations
from workers.jobs.states import State

D = Decimal


def case(actual: str, *, expected: str = "10", high: str = "15", method: str = "lora") -> Case:
    return Case("fine_tune", "mini", method, "worker.cpu", D(expected), D(high), D(actual))


def test_coverage_counts_jobs_at_or_below_each_case() -> None:
    found = calibrated("money", [case(a) for a in ("8", "10", "12", "15", "16")])
    (row,) = found
    assert (row.jobs, row.p50, row.p90, row.ratio) == (5, D("0.4"), D("0.8"), D("1.2"))
    assert row.ratio_90 == D("1.6")


def test_the_90th_percentile_is_of_the_nearest_rank() -> None:
    (row,) = calibrated("time", [case(str(n)) for n in range(1, 11)])
    assert row.ratio_90 == D("0.9")  # the ninth of ten


def test_classes_are_told_apart() -> None:
    found = calibrated("time", [case("9"), case("11", method="full")])
    assert [(row.method, row.p50) for row in found] == [("full", 0), ("lora", 1)]


def test_a_quote_that_expects_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput):
        calibrated("time", [case("1", expected="0")])


def quote_made(owner: Person, key: str) -> Quote:
    """A million tokens and a minute."""
    line = QuoteLine("tokens.trained", D(900_000), D(1_000_000), D(1_500_000), {"base": "mini"})
    return quote(owner.tenant.id, line, fingerprint=key, seconds=[D(30), D(60), D(90)])


def job_done(
    owner: Person, key: str, made: Quote, *, tokens: int, seconds: int, adjust: str = "0"
) -> None:
    """A fine-tune at that quote, which came to so much; the engine did other work for it."""
    job = job_make(
        owner,
        state=State.SUCCEEDED,
        finished_at=now(),
        quote_id=made.id,
        spec={"base_id": "mini", "settings": {"method": "lora"}},
    )
    charge(
        owner.tenant.id, key, item("tokens.trained", tokens, job_id=job.id),
        subject_kind="job", subject_id=job.id, quote_id=made.id, adjust=D(adjust),
    )  # fmt: skip
    charge(
        owner.tenant.id, f"{key}:engine", item("tokens.evaluated", tokens, job_id=job.id),
        subject_kind="job", subject_id=job.id, quote_id=made.id,
    )  # fmt: skip
    begun = now() - dt.timedelta(days=1)
    resource = resource_make((begun - dt.timedelta(days=30), "0.01"))
    entry = slot_time(
        0, 0, resource=resource, tenant_id=owner.tenant.id, job_id=job.id, key=key,
        started_at=begun, ended_at=begun + dt.timedelta(seconds=seconds),
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[entry])


@pytest.mark.django_db
def test_jobs_that_succeeded_are_laid_beside_their_quotes() -> None:
    platform_make()
    owner = owner_of("Acme")
    with system_scope():
        credit_give(owner.tenant.id, "100")
    job_done(owner, "a", quote_made(owner, "a"), tokens=1_200_000, seconds=45)
    with system_scope():
        money, time = calibrations(since=now() - dt.timedelta(days=2))
    assert (money.measure, money.base, money.method, money.jobs) == ("money", "mini", "lora", 1)
    assert (money.p50, money.p90, money.ratio) == (0, 1, D("1.2"))
    assert (time.measure, time.p50, time.ratio) == ("time", 1, D("0.75"))
    assert time.device.startswith("worker.")
    with system_scope():
        assert calibrations(since=now() + dt.timedelta(days=1)) == []


@pytest.mark.django_db
def test_each_job_is_laid_beside_its_own_rating_and_a_discount_counts() -> None:
    """A quote may be named by several jobs."""
    platform_make()
    owner = owner_of("Acme")
    with system_scope():
        credit_give(owner.tenant.id, "100")
    made = quote_made(owner, "a")
    job_done(owner, "a", made, tokens=800_000, seconds=45)
    job_done(owner, "b", made, tokens=2_000_000, seconds=45, adjust="-0.5")
    with system_scope():
        found = calibrations(since=now() - dt.timedelta(days=2))
    ratios = [row.ratio for row in found if row.measure == "money"]  # a class each, by device
    assert sorted(ratios) == [D("0.8"), D("1.0")]
