"""A payout in the middle of which our process is killed: paid once, or not yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import unbalanced
from tenants.marketplace.models import Payout
from tenants.marketplace.services.payouts import payout_confirm, payout_order
from tests.architecture.sources import ROOT
from tests.tenants.billing.factories import operator_of
from tests.tenants.marketplace.test_statements import sold, terms
from tests.tenants.partners.factories import partner_make, plugin_priced, standing

pytestmark = pytest.mark.django_db
EARNED = {"pending": Decimal(7), "available": 0, "paid": 0, "receivable": 0}
ON_ITS_WAY = {"pending": 0, "available": 0, "paid": Decimal(7), "receivable": 0}
NOTHING_LEFT = {"pending": 0, "available": 0, "paid": 0, "receivable": 0}

PAYING = """
import os, signal, sys, django
django.setup()
from tenants.kernel.scope import system_scope
from tenants.marketplace.services import payouts
from tests.tenants.billing.factories import operator_of

partner, payout_id, dies_after = sys.argv[1:]
does = getattr(payouts, dies_after)

def die(*args, **options):
    does(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(payouts, dies_after, die)
with system_scope():
    actor = operator_of(partner)
    if payout_id:
        payouts.payout_confirm(actor=actor, payout_id=payout_id, reference="bank 7")
    else:
        payouts.payout_order(actor=actor, currency="USD", key="a")
"""


@pytest.fixture
def earned() -> str:
    """A partner to whom 7.00 USD came of age."""
    partner = partner_make(terms())
    plugin_priced()
    sold("10")
    assert standing(partner) == EARNED
    return partner


def killed(partner: str, payout_id: str, *, dies_after: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAYING, partner, payout_id, dies_after],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "saas.settings"},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("dies_after", ["partner_pay", "emit"])
def test_one_that_was_not_ordered_to_its_end_is_ordered_once_by_its_key(
    earned: str, dies_after: str
) -> None:
    """Killed after its postings, and after everything but the commit."""
    killed(earned, "", dies_after=dies_after)
    assert standing(earned) == EARNED
    with system_scope():
        assert not Payout.objects.exists()
        made = [
            payout_order(actor=operator_of(earned), currency="USD", key="a").id for _ in range(2)
        ]
        assert made[0] == made[1]
        assert Payout.objects.get().amount == 7
        assert unbalanced() == []
    assert standing(earned) == ON_ITS_WAY


def test_one_that_was_not_confirmed_to_its_end_is_sent_once(earned: str) -> None:
    """Killed after its postings, before it says that it was paid."""
    with system_scope():
        row = payout_order(actor=operator_of(earned), currency="USD", key="a")
    killed(earned, row.id, dies_after="transaction_post")
    assert standing(earned) == ON_ITS_WAY
    with system_scope():
        assert Payout.objects.get().state == "ordered"
        for _ in range(2):
            payout_confirm(actor=operator_of(earned), payout_id=row.id, reference="bank 7")
        assert Payout.objects.get().state == "paid"
        assert unbalanced() == []
    assert standing(earned) == NOTHING_LEFT
