"""Adding a member, and switching between one's organisations."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from saas.console.asking import actor_of, perform
from tenants.accounts.services import member_add


@require_POST
def member_create(request: HttpRequest) -> HttpResponseRedirect:
    given = request.POST
    perform(
        request,
        lambda: member_add(
            actor=actor_of(request),
            email=given.get("email", ""),
            role=given.get("role", ""),
        ),
        done=_("The member is added."),
    )
    return HttpResponseRedirect(reverse("console:accounts_member_changelist"))


@require_POST
def switch(request: HttpRequest, tenant_id: str) -> HttpResponseRedirect:
    """Act for another of one's own organisations from now on. Raises Http404 for any other."""
    if tenant_id not in {member.tenant_id for member in request.memberships}:  # type: ignore[attr-defined]
        raise Http404
    request.session["tenant_id"] = tenant_id
    return HttpResponseRedirect(reverse("console:index"))
