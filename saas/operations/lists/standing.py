"""A tenant's standing: suspended, reactivated, closed by staff, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_for
from saas.console.asking import actor_of
from saas.console.readonly import Act
from saas.operations.forms import ReasonForm
from tenants.accounts.models import Tenant
from tenants.accounts.standing import tenant_close, tenant_reactivate, tenant_suspend

ACTIVE, SUSPENDED = Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED


def _moved(service: Callable[..., Tenant]) -> Callable[..., Tenant]:
    def run(request: HttpRequest, tenant_id: str, *, reason: str) -> Tenant:
        return service(actor=acting_for(actor_of(request), tenant_id), reason=reason)

    return run


def _offered(*standings: str) -> Callable[[Any], bool]:
    return lambda row: row.status in standings and not row.is_platform


STANDING_ACTS = (
    Act(
        name="suspend",
        label=_("Suspend"),
        permission="billing.write",
        run=_moved(tenant_suspend),
        done=_("The organisation is suspended."),
        offered=_offered(ACTIVE),
        danger=True,
        form=ReasonForm,
        note=_("New work is refused until it is reactivated; nothing is deleted."),
    ),
    Act(
        name="reactivate",
        label=_("Reactivate"),
        permission="billing.write",
        run=_moved(tenant_reactivate),
        done=_("The organisation may work again."),
        offered=_offered(SUSPENDED),
        form=ReasonForm,
    ),
    Act(
        name="close",
        label=_("Close the account"),
        permission="billing.write",
        run=_moved(tenant_close),
        done=_("The account is closed."),
        offered=_offered(ACTIVE, SUSPENDED),
        danger=True,
        form=ReasonForm,
        note=_("A closed account is not opened again. What is owed stays owed; data is kept."),
    ),
)
