"""`manage.py warroom costs|floors|waste|procure|market|campaign`: the room in the terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from saas.warroom import campaign, costs, floors, market, procure, waste
from tenants.kernel.errors import BreakwaterError

# room → (its module, what it is for); each has add_arguments(parser) and run(options, out)
ROOMS = {
    "costs": (costs, "unit costs three ways, the allocation, a bill's reconciliation"),
    "floors": (floors, "every price beside its floor, and what was sold below"),
    "waste": (waste, "what leaks, what to do about it, what the levers have gained"),
    "procure": (procure, "what compute to buy for a case in JSON"),
    "market": (market, "index, decline and halving time of rivals' prices by class"),
    "campaign": (campaign, "rehearse a price war from a JSON file, and write its brief"),
}


class Command(BaseCommand):
    help = "The price-war room in the terminal."

    def add_arguments(self, parser: ArgumentParser) -> None:
        rooms = parser.add_subparsers(dest="room", required=True)
        for name, (room, text) in ROOMS.items():
            room.add_arguments(rooms.add_parser(name, help=text))

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        try:
            ROOMS[options["room"]][0].run(options, self.stdout)
        except BreakwaterError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(
                f"cannot read or write {error.filename}: {error.strerror}"
            ) from error
