"""`manage.py base_model`: the operator's catalogue of base models."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.kernel.errors import BreakwaterError
from tenants.kernel.scope import system_scope
from workers.assets.local_bases import base_models_ensure
from workers.assets.models import BaseModel
from workers.assets.services import base_model_measure, base_model_register, base_model_verify
from workers.engine.profiles import TEXT_GENERATION, profiles_read


class Command(BaseCommand):
    help = "Add, list, verify, build or measure base models."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="register a folder in Hugging Face layout")
        add.add_argument("path", type=Path)
        add.add_argument("--id", required=True, help="the name that customers call it by")
        add.add_argument("--licence", required=True, help="an SPDX name, such as apache-2.0")
        add.add_argument("--description", default="")
        add.add_argument(
            "--kind", default=BaseModel.Kind.TEXT_GENERATION, choices=BaseModel.Kind.values
        )
        actions.add_parser("list", help="show the catalogue")
        verify = actions.add_parser("verify", help="compare folders with their registered hashes")
        verify.add_argument("id", nargs="*", help="all, if none is named")
        actions.add_parser("build", help="build, register and measure the local models, once")
        measure = actions.add_parser("measure", help="measure how fast this machine trains them")
        measure.add_argument("id", nargs="*", help="all, if none is named")

    _quiet_until = 0.0

    def handle(self, *args: Any, action: str, **options: Any) -> None:  # noqa: ARG002
        try:
            getattr(self, action)(options)
        except BreakwaterError as error:
            raise CommandError(error.message) from error

    def add(self, options: Mapping[str, Any]) -> None:
        row = base_model_register(
            path=options["path"],
            model_id=options["id"],
            kind=options["kind"],
            licence=options["licence"],
            description=options["description"],
        )
        self.stdout.write(_line(row))

    def list(self, options: Mapping[str, Any]) -> None:
        del options
        with system_scope():
            rows = list(BaseModel.objects.order_by("id"))
        for row in rows:
            self.stdout.write(_line(row))

    def verify(self, options: Mapping[str, Any]) -> None:
        with system_scope():
            known = list(BaseModel.objects.order_by("id").values_list("id", flat=True))
        for model_id in options["id"] or known:
            base_model_verify(model_id=model_id)
            self.stdout.write(f"{model_id}: whole")

    def build(self, options: Mapping[str, Any]) -> None:
        del options
        for row in base_models_ensure(self._say):
            self.stdout.write(_line(row))
            if not row.profile and row.kind == BaseModel.Kind.TEXT_GENERATION:
                self._measure_or_say(row.id)

    def measure(self, options: Mapping[str, Any]) -> None:
        with system_scope():
            known = list(BaseModel.objects.order_by("id").values_list("id", flat=True))
        for model_id in options["id"] or known:
            self._measure(model_id)

    def _measure_or_say(self, model_id: str) -> None:
        """What cannot be measured works all the same; its quotes then tell no time.

        What else it can learn, and other kinds of bases, are measured while the system runs.
        """
        try:
            self._measure(model_id, (TEXT_GENERATION,))
        except BreakwaterError as error:
            self.stdout.write(f"{model_id} was not measured: {error.message}")

    def _measure(self, model_id: str, tasks: Sequence[str] = ()) -> None:
        row = base_model_measure(model_id=model_id, tasks=tasks)
        for profile in profiles_read(row.profile).values():
            low, middle, high = profile.quantiles
            self.stdout.write(
                f"{model_id}, {profile.task}, {profile.method}: {profile.flops / 1e9:.1f} GFLOP/s "
                f"on one CPU thread; whole runs took {low / middle:.2f} to {high / middle:.2f} "
                "times the expected"
            )

    def _say(self, line: Mapping[str, Any]) -> None:
        """Every line but training's, of which one in five seconds is enough."""
        if line.get("event") == "training":
            if time.monotonic() < self._quiet_until:
                return
            self._quiet_until = time.monotonic() + 5
        said = ", ".join(f"{key} {value}" for key, value in line.items() if key != "event")
        self.stdout.write(f"{line.get('event', '')}: {said}")


def _line(row: BaseModel) -> str:
    return (
        f"{row.id}  {row.kind}  {row.parameters:,} parameters  {row.licence}  "
        f"sha256 {row.sha256[:12]}  {row.path}"
    )
