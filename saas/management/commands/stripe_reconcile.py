"""`manage.py stripe_reconcile`: compare Stripe with our books now, and say what differs."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.billing.stripe.reconciling.service import WINDOW, stripe_reconcile
from tenants.kernel.clock import now
from tenants.kernel.errors import BreakwaterError


class Command(BaseCommand):
    help = "Catch up with Stripe, and open a finding for everything that differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=WINDOW.days, help="how far to look back")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        try:
            outcome = stripe_reconcile(since=now() - dt.timedelta(days=options["days"]))
        except BreakwaterError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            f"{outcome.healed} objects caught up with, {outcome.booked} balance transactions,"
            f" {len(outcome.differences)} differences"
        )
        for difference in outcome.differences:
            self.stdout.write(
                f"  {difference.kind} {difference.subject}: {dict(difference.evidence)}\n"
                f"    → {difference.action}"
            )
