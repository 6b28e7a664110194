"""The platform runs the conformance kit itself: what a report claims changes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope
from tenants.marketplace.judging import Verdict
from tenants.marketplace.models import Listing
from tenants.marketplace.services import listings, reviews
from tenants.marketplace.states import ListingState
from tenants.partners.host import ground
from tests.architecture.sources import ROOT
from tests.tenants.partners.factories import SEVENTY, agree
from tests.tenants.partners.releases import COUNTING, partner_tenant, submitted, wheel_of
from tests.tenants.pricing.books import operator_make

pytestmark = pytest.mark.django_db
TWICE = COUNTING.replace("Decimal(len(lines))", "Decimal(len(lines) + int(time.time_ns() % 997))")
HANGS = COUNTING.replace("def pipelines():", "def pipelines():\n    time.sleep(600)")
BREAKS = COUNTING.replace("def meters():", "def meters():\n    raise ValueError('no')")
SOURCE_BOMB = "(" * 100_000
KILLED = """
import os, signal, django
django.setup()
from tenants.marketplace.services import reviews
renew = reviews._renew
def die(*told):
    renew(*told)
    os.kill(os.getpid(), signal.SIGKILL)
reviews._renew = die  # at the first check that the kit tells
reviews.reviews_run()
"""


@pytest.fixture
def partner(db: None) -> Tenant:
    return partner_tenant()


def asked(listing: Listing) -> Listing:
    with system_scope():
        return listings.listing_check(actor=operator_make(), listing_id=listing.id)


def judged(listing: Listing) -> Listing:
    asked(listing)
    assert reviews.reviews_run() == 1
    with system_scope():
        return Listing.objects.get(pk=listing.pk)


@pytest.mark.slow
def test_what_the_kit_saw_here_is_recorded(partner: Tenant, tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path)
    row = judged(submitted(partner, wheel))
    assert (row.state, row.reason) == ("checked", "")
    report = row.conformance
    assert report["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest() == row.wheel_sha256
    here = ground().sandbox.chosen()
    assert (report["level"], report["not_enforced"]) == (here.level, sorted(here.not_enforced))
    passed = {each["group"] for each in report["checks"] if each["verdict"] == "passed"}
    assert passed >= {"package", "signatures", "isolation", "billing", "cancellation", "errors"}
    assert row.checks_made == len(report["checks"])
    assert row.submitted_report["checks"] != report["checks"]
    assert [each["name"] for each in row.offers["meters"]] == ["lines"]


def test_a_lying_report_changes_nothing(partner: Tenant, tmp_path: Path) -> None:
    """The report says that all passed; the wheel bills another sum each time."""
    listing = submitted(partner, wheel_of(tmp_path, code=TWICE))
    assert {each["verdict"] for each in listing.submitted_report["checks"]} == {"passed"}
    row = judged(listing)
    assert row.state == "refused"
    assert "billing: run_step/count/read: called twice, it gave different claims" in row.reason
    failed = [each for each in row.conformance["checks"] if each["verdict"] == "failed"]
    assert {each["group"] for each in failed} >= {"billing"}
    assert row.offers == {}
    agree(partner.id, SEVENTY)
    with system_scope(), pytest.raises(Conflict, match="is refused"):
        listings.listing_approve(actor=operator_make(), listing_id=row.id)


@pytest.mark.slow
def test_what_breaks_is_refused_with_what_it_said(partner: Tenant, tmp_path: Path) -> None:
    row = judged(submitted(partner, wheel_of(tmp_path, code=BREAKS)))
    assert row.state == "refused"
    assert "signatures: meters: ValueError: no" in row.reason


def test_a_wheel_that_takes_too_long_is_refused_and_leaves_nothing_running(
    partner: Tenant, tmp_path: Path, settings: Any
) -> None:
    settings.PLUGINS_CHECK_LIMIT_S = 1.0
    before = set(psutil.Process().children(recursive=True))
    row = judged(submitted(partner, wheel_of(tmp_path, code=HANGS)))
    assert (row.state, row.reason) == ("refused", "its checks took longer than 1 s")
    left = set(psutil.Process().children(recursive=True)) - before
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_source_that_no_parser_survives_costs_its_own_judge_only(
    partner: Tenant, tmp_path: Path
) -> None:
    row = judged(submitted(partner, wheel_of(tmp_path, code=SOURCE_BOMB)))
    assert row.state in {"refused", "submitted"}
    assert row.reason


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that ordinary user ids reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="reviewing-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def kits(folder: Path) -> list[psutil.Process]:
    """Processes of the kit that work in a folder."""
    there = psutil.process_iter(["cmdline"])
    return [each for each in there if str(folder) in " ".join(each.info["cmdline"] or ())]


def test_a_worker_killed_in_the_middle_of_a_review_is_followed_by_another(
    partner: Tenant, tmp_path: Path, folder: Path, settings: Any
) -> None:
    """kill -9 while the kit runs: it ends too, and the listing is judged once its lease lapses."""
    listing = asked(submitted(partner, wheel_of(tmp_path, code=BREAKS)))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "saas.settings",
        "STORAGE_DIR": str(settings.STORAGE_DIR),
        "TMPDIR": str(folder),
    }
    dead = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=ROOT, env=environment, check=False, timeout=120
    )
    assert dead.returncode == -signal.SIGKILL
    _, left = psutil.wait_procs(kits(folder), timeout=60.0)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []
    with system_scope():
        row = Listing.objects.get(pk=listing.pk)
    assert (row.state, row.check_tries, row.checks_made) == ("checking", 1, 1)
    assert reviews.reviews_run() == 0  # it is another one's, for all that anybody knows
    lease_lapse(listing)
    assert reviews.reviews_run() == 1
    with system_scope():
        row = Listing.objects.get(pk=listing.pk)
        assert [step.state for step in row.steps.order_by("id")] == [
            "submitted",
            "checking",
            "refused",
        ]
    assert (row.check_tries, row.check_until) == (2, None)
    assert "signatures: meters: ValueError: no" in row.reason


def test_a_kit_that_is_killed_is_no_fault_of_the_wheel(
    partner: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the process that judges, the worker alive."""
    renew = reviews._renew

    def kill(*told: Any) -> None:
        renew(*told)
        for each in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):  # one that is dead, and not buried yet
                if "plugins.kit.judging" in each.cmdline():
                    each.kill()

    monkeypatch.setattr(reviews, "_renew", kill)
    row = judged(submitted(partner, wheel_of(tmp_path, code=HANGS)))
    assert row.state == "submitted"
    assert "not checked: the kit ended with -9" in row.reason
    assert (row.conformance, row.offers, row.check_until) == ({}, {}, None)


def test_a_judge_that_died_is_followed_by_another_whose_word_holds(
    partner: Tenant, tmp_path: Path
) -> None:
    listing = asked(submitted(partner, wheel_of(tmp_path)))
    first = reviews.review_claim()
    assert first is not None
    assert reviews.review_claim() is None
    with pytest.raises(Conflict, match="is checking, and cannot become checking"):
        reviews.review_now(actor=operator_make(), listing_id=listing.id)
    lease_lapse(listing)
    second = reviews.review_claim()
    assert second is not None
    assert second.check_tries == 2
    late = reviews.review_end(row=first, verdict=Verdict(ListingState.REFUSED, "late"))
    assert late.state == "checking"
    ended = reviews.review_end(row=second, verdict=Verdict(ListingState.REFUSED, "in time"))
    assert (ended.state, ended.reason) == ("refused", "in time")


def test_after_three_deaths_an_operator_decides(partner: Tenant, tmp_path: Path) -> None:
    listing = asked(submitted(partner, wheel_of(tmp_path)))
    for _ in range(reviews.MOST_TRIES):
        assert reviews.review_claim() is not None
        lease_lapse(listing)
    assert reviews.reviews_run() == 1
    with system_scope():
        row = Listing.objects.get(pk=listing.pk)
    assert row.state == "submitted"
    assert "ended in the middle 3 times" in row.reason
    assert asked(row).check_tries == 0


def test_what_an_operator_refused_meanwhile_stays_refused(partner: Tenant, tmp_path: Path) -> None:
    listing = asked(submitted(partner, wheel_of(tmp_path)))
    claimed = reviews.review_claim()
    assert claimed is not None
    with system_scope():
        listings.listing_refuse(actor=operator_make(), listing_id=listing.id, reason="no")
    assert reviews.review_run(row=claimed).reason == "no"  # its next check hears of it


def lease_lapse(listing: Listing) -> None:
    with system_scope():
        Listing.objects.filter(pk=listing.pk).update(check_until="2020-01-01T00:00:00Z")
