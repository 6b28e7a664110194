"""Runs beside the system, with its settings, and does what it is asked by lines of JSON."""

from __future__ import annotations

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saas.settings")
    django.setup()
    from tests.chaos.rounds import Rounds

    rounds = Rounds()
    try:
        for line in sys.stdin:
            question = json.loads(line)
            answer = getattr(rounds, question.pop("do"))(**question)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        rounds.spare.end()


if __name__ == "__main__":
    main()
