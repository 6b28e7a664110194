"""`python -m tests.stripe_server --port 12111`: the server as a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.stripe_server.server import StripeServer
from tests.stripe_server.webhooks import Endpoint


def main() -> None:
    parser = argparse.ArgumentParser(description="Stripe's counterpart on loopback.")
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument("--state", type=Path, help="a JSON file that survives the process")
    parser.add_argument("--webhook-url", default="", help="where events are sent to")
    parser.add_argument("--webhook-secret", default="whsec_local")
    given = parser.parse_args()
    endpoint = Endpoint(given.webhook_url, given.webhook_secret) if given.webhook_url else None
    server = StripeServer(given.port, file=given.state, webhooks=endpoint)
    print(f"listening on {server.url}", flush=True)  # noqa: T201 -- whoever started it waits for it
    server.serve_forever()


if __name__ == "__main__":
    main()
