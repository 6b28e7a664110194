"""One server for this folder's tests; each test makes objects of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stripe import StripeClient

from tests.stripe_server.control import Control
from tests.stripe_server.factories import client_of
from tests.stripe_server.running import stripe_server


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with stripe_server() as control:
        yield control


@pytest.fixture
def stripe(control: Control) -> StripeClient:
    """The real SDK's client, without retries."""
    return client_of(control)
