"""Who and where an organisation is, over the API."""

from __future__ import annotations

import pytest

from tests.saas.api.factories import Caller

pytestmark = pytest.mark.django_db

WHERE = "/v1/tax_profile"


def test_what_is_sent_changes_and_the_rest_stays(api: Caller) -> None:
    before = api.get(WHERE).json
    assert (before["object"], before["country"], before["language"]) == ("tax_profile", "", "en")
    api.post(WHERE, {"legal_name": "Acme GmbH", "country": "DE", "tax_id": "DE123456789"})
    found = api.post(WHERE, {"address": "Weg 1\n10115 Berlin"}).json
    assert found == before | {
        "legal_name": "Acme GmbH",
        "country": "DE",
        "tax_id": "DE123456789",
        "address": "Weg 1\n10115 Berlin",
    }
    assert api.get(WHERE).json == found


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"country": "Germany"}, "country"),
        ({"country": "de"}, "country"),
        ({"region": "C-A"}, "region"),
        ({"language": "fr"}, "language"),
        ({"legal_name": "x" * 201}, "legal_name"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Caller, sent: dict[str, object], param: str) -> None:
    reply = api.post(WHERE, sent)
    assert (reply.status, reply.error["param"]) == (400, param), reply.content


def test_what_the_platform_decides_does_not_change(api: Caller) -> None:
    found = api.post(WHERE, {"reverse_charge": True, "tax_point": "top_up", "region": "CA"}).json
    assert (found["reverse_charge"], found["tax_point"]) == (False, "consumption")
    assert found["region"] == "CA"


def test_each_organisation_has_its_own(api: Caller, rival: Caller) -> None:
    api.post(WHERE, {"legal_name": "Acme GmbH"})
    assert rival.get(WHERE).json["legal_name"] == ""
