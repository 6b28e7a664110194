"""Comparing the shapes of two targets' answers."""

from __future__ import annotations

from tests.tenants.billing.stripe.shapes import _note, difference


def test_a_field_that_only_the_loopback_server_has_is_said() -> None:
    shapes: dict[str, dict[str, list[str]]] = {}
    _note(shapes, {"object": "list", "data": [{"object": "refund", "amount": 5, "odd": None}]})
    assert shapes["refund"]["amount"] == ["int"]
    theirs = {"refund": {"object": ["str"], "amount": ["str"]}, "list": shapes["list"]}
    assert difference(shapes, theirs) == {
        "refund": {"not in Stripe's": ["odd"], "of another kind": {"amount": [["int"], ["str"]]}}
    }


def test_equal_shapes_differ_in_nothing() -> None:
    shapes = {"refund": {"amount": ["int"]}}
    assert difference(shapes, shapes) == {}
