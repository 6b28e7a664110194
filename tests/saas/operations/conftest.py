"""Staff at operations, and a tenant whose work they watch over."""

from __future__ import annotations

import pytest

from tests.saas.console.factories import Person, operator_make, owner_of


@pytest.fixture
def operator(db: None) -> Person:
    return operator_make()


@pytest.fixture
def owner(db: None) -> Person:
    return owner_of("Acme")
