"""Members of the organisation and their roles."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.models import Member
from tenants.accounts.roles import Role
from tenants.accounts.selectors import member_get, members_visible
from tenants.accounts.services import member_add, member_remove, member_set_role


class MemberOut(serializers.Serializer[Member]):
    id = serializers.CharField()
    object = Constant("member")
    user_id = serializers.CharField()
    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(Role.values)
    created_at = UnixTime()


class MemberDeletedOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("member")
    deleted = serializers.BooleanField()


class MemberRoleIn(serializers.Serializer[Any]):
    role = serializers.ChoiceField(Role.values)


class MemberIn(MemberRoleIn):
    email = serializers.EmailField(max_length=254)


def render(row: Member) -> dict[str, Any]:
    return MemberOut(row).data


class MembersView(ApiView):
    @operation(
        "List members",
        tag="members",
        needs="members.read",
        answer=list_of(MemberOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(members_visible(), self.query(PageQuery), render))

    @operation(
        "Add a member",
        tag="members",
        needs="members.write",
        answer=MemberOut,
        status=201,
        body=MemberIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        member = member_add(actor=self.actor, **self.body(MemberIn))
        return Response(render(member_get(member.id)), status=201)


class MemberView(ApiView):
    @operation("Retrieve a member", tag="members", needs="members.read", answer=MemberOut)
    def get(self, request: Request, member_id: str) -> Response:  # noqa: ARG002
        return Response(render(member_get(member_id)))

    @operation(
        "Change a member's role",
        tag="members",
        needs="members.write",
        answer=MemberOut,
        body=MemberRoleIn,
    )
    def post(self, request: Request, member_id: str) -> Response:  # noqa: ARG002
        role = self.body(MemberRoleIn)["role"]
        member_set_role(actor=self.actor, member_id=member_id, role=role)
        return Response(render(member_get(member_id)))

    @operation("Remove a member", tag="members", needs="members.write", answer=MemberDeletedOut)
    def delete(self, request: Request, member_id: str) -> Response:  # noqa: ARG002
        member_remove(actor=self.actor, member_id=member_id)
        return Response(MemberDeletedOut({"id": member_id, "deleted": True}).data)
