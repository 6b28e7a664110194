"""References as people type them."""

from __future__ import annotations

import pytest

from tenants.billing.manual.references import numbers_in, top_up_reference, top_up_tenant
from tenants.kernel.ids import new_id


@pytest.mark.parametrize(
    ("reference", "numbers"),
    [
        ("BW-2026-000007", ["BW-2026-000007"]),
        ("invoice bw 2026 000007, thanks", ["BW-2026-000007"]),
        ("BW2026000007/BW-2026-000008 BW-2026-000007", ["BW-2026-000007", "BW-2026-000008"]),
        ("BW-2026-0000071", []),
        ("2026-000007", []),
        ("", []),
    ],
)
def test_invoice_numbers(reference: str, numbers: list[str]) -> None:
    assert numbers_in(reference, "BW") == numbers


def test_a_tenants_own_reference_names_it() -> None:
    tenant_id = new_id("ten_")
    reference = top_up_reference(tenant_id)
    assert top_up_tenant(f"credit please: {reference.lower()} thanks") == tenant_id
    assert top_up_tenant("TOPUP-123") is None
