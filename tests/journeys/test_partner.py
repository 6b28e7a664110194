"""A partner's plugin, from its source to the payout, over a real server's REST: built, submitted,
checked by the kit, approved, enabled, run as a job, counted, invoiced, shared, paid out. And a
service, ordered and delivered.

Each sum is worked out here: from what was uploaded, the price that the source asks, the agreement.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone

from plugins.kit.building import wheel_build
from plugins.kit.new import plugin_new
from saas.handlers import HANDLERS
from tenants.billing.periods import Period
from tenants.billing.services.statements import statements_advance
from tenants.costs.services import resources_ensure
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import unbalanced
from tenants.marketplace.events import OrderMoved, OrderRated
from tenants.marketplace.services.reviews import reviews_run
from tenants.marketplace.services.statements import partners_advance
from tenants.partners.events import PluginDisabled, PluginEnabled, PluginSuspended
from tenants.partners.host import ground
from tests.architecture.sources import ROOT
from tests.saas.api.factories import Caller, operator_caller, tenant_caller
from tests.saas.api.marketplace import partner_become
from tests.tenants.partners.releases import published
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start

pytestmark = pytest.mark.django_db
D = Decimal
EXAMPLES = ROOT / "plugins" / "examples"
SLOT_SECOND = D("0.0425") / 3600  # USD, the list price of a CPU slot (tenants/costs/defaults.py)
SHARE, BORNE = D("0.7"), D("0.5")
TERMS = {
    "currency": "USD",
    "hold_days": 0,
    "lines": {"plugins": {"share": str(SHARE)}, "services": {"share": "0.9"}},
    "cost_share": str(BORNE),
}


class Person:
    """Someone with an API key, at the other end of a connection."""

    def __init__(self, caller: Caller, url: str) -> None:
        assert caller.tenant is not None
        self.tenant = caller.tenant
        headers = {"Authorization": f"Bearer {caller.secret}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60)

    def get(self, path: str) -> Any:
        return self._told(self.http.get(path), 200)

    def post(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        sent = more or {"json": {} if body is None else body}
        return self._told(self.http.post(path, **sent), status)

    def refused(self, path: str, body: Any, code: str) -> None:
        answer = self.http.post(path, json=body)
        assert answer.json()["error"]["code"] == code, answer.text

    def _told(self, answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json()


@dataclass(frozen=True)
class Story:
    """A plugin's source, one run of it, and what this must come to by the source's own price."""

    plugin: str
    pipeline: str
    meter: str
    price: str  # USD a unit, as the source asks
    units: int
    result: str  # the file that comes of it
    lines: int  # of that file
    upload: tuple[str, bytes] | None = None
    source: Callable[[Path], Path] = lambda _: Path()


def wordy(folder: Path) -> Path:
    """What `plugin new` makes, at a price that its partner has set."""
    plugin_new(
        "wordy",
        folder,
        platform_version="0.1.0",
        author="A partner",
        contact="someone@example.org",
        licence="Apache-2.0",
    )
    code = folder / "wordy" / "wordy" / "plugin.py"
    asked = code.read_text().replace('Decimal("0.000001")', 'Decimal("0.01")')
    code.write_text(asked)
    return folder / "wordy"


def counted_words() -> Story:
    texts = [f"word{n} of {n % 7}" for n in range(250)]
    upload = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    words = len({word for text in texts for word in text.split()})
    return Story(
        "wordy", "words", "lines", "0.01", 250, "words.csv", words, ("t.jsonl", upload), wordy
    )


def bundled_risks() -> Story:
    table = EXAMPLES / "finance_risk" / "finance_risk" / "randhie.csv.gz"
    rows = len(gzip.decompress(table.read_bytes()).splitlines()) - 1
    name = "finance_risk"
    return Story(name, "risk", "rows", "0.0001", rows, "scores.csv", SOME, source=example(name))


def bundled_diagnoses() -> Story:
    from sklearn.datasets import load_breast_cancer

    rows, name = len(load_breast_cancer().data), "medical_diagnosis"
    return Story(
        name, "screening", "rows", "0.0005", rows, "answers.csv", SOME, source=example(name)
    )


def many_answers() -> Story:
    """The sample's answers, of a class ten times as large."""
    name = "education_tutor"
    sample = EXAMPLES / name / name / "samples" / "answers.csv"
    rows = list(csv.DictReader(io.StringIO(sample.read_text())))
    more = [{**row, "learner": f"{row['learner']}-{n}"} for n in range(10) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(more)
    learners = len({row["learner"] for row in more})
    upload = ("answers.csv", out.getvalue().encode())
    return Story(
        name, "practice", "answers", "0.00005", len(more), "next.csv", learners + 1, upload,
        example(name),
    )  # fmt: skip


def example(name: str) -> Callable[[Path], Path]:
    return lambda _: EXAMPLES / name


SOME = -1  # rows of a held-out part: the example's own tests know how many
STORIES = {
    "wordy": counted_words,
    "finance_risk": bundled_risks,
    "medical_diagnosis": bundled_diagnoses,
    "education_tutor": many_answers,
}


@pytest.fixture
def staff(db: None, web_url: str) -> Person:
    with system_scope():
        resources_ensure()  # what a slot costs, as on every system that runs
    return Person(operator_caller(), web_url)


@pytest.fixture
def partner(staff: Person, web_url: str) -> Person:
    person = Person(tenant_caller("Partner Ltd"), web_url)
    partner_become(person.tenant)
    return person


@pytest.fixture
def customer(staff: Person, web_url: str) -> Person:
    return Person(tenant_caller("Customer"), web_url)


def relay() -> None:
    """Deliver what waits in the outbox to the marketplace's handlers."""
    heard = {
        event: HANDLERS[event]
        for event in (PluginEnabled, PluginDisabled, PluginSuspended, OrderMoved, OrderRated)
    }
    while drain(heard):
        pass


def next_month() -> Any:
    return Period.of(timezone.now()).end + timezone.timedelta(days=4)


def listed(story: Story, staff: Person, partner: Person, folder: Path) -> None:
    """Submitted, checked, approved, published; and what is out of order is refused."""
    wheel = wheel_build(story.source(folder), folder)
    files = {"wheel": (wheel.name, wheel.read_bytes())}
    sent = {"data": {"title": story.plugin}, "files": files}
    listing = partner.post("/v1/partner/listings", status=201, **sent)
    assert listing["wheel_sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    review = f"/operator/v1/listings/{listing['id']}"
    staff.refused(f"{review}/publish", {}, "listing_submitted")
    assert staff.post(f"{review}/check")["state"] == "checking"
    assert reviews_run() == 1
    checked = partner.get(f"/v1/partner/listings/{listing['id']}")
    assert (checked["state"], checked["reason"]) == ("checked", "")
    report = checked["conformance"]
    assert (report["sha256"], report["level"]) == (
        listing["wheel_sha256"],
        ground().sandbox.chosen().level,
    )
    assert len(report["checks"]) == checked["checks_made"] > 10
    staff.refused(f"{review}/approve", {}, "agreement_missing")
    agreement = {"partner": partner.tenant.id, "terms": TERMS}
    staff.post("/operator/v1/agreements", agreement, 201)
    staff.post(f"{review}/approve", {"reason": "fine"})
    steps = staff.post(f"{review}/publish", {"reason": "fine"})["steps"]
    states = ["submitted", "checking", "checked", "approved", "published"]
    assert [step["state"] for step in steps] == states


def enabled(story: Story, customer: Person) -> None:
    """Found on the marketplace with its price, and enabled with one call."""
    (offer,) = customer.get("/v1/marketplace/plugins")["data"]
    assert (offer["plugin"], offer["publisher"]) == (story.plugin, "Partner Ltd")
    (price,) = offer["prices"]
    assert (price["meter"], D(price["amount"]), price["currency"]) == (
        story.meter,
        D(story.price),
        "USD",
    )
    enabling = {"plugin": story.plugin, "permissions": []}
    customer.refused("/v1/plugins", enabling, "permission_missing")
    customer.post("/v1/plugins", {**enabling, "permissions": offer["permissions"]}, 201)


def ran(story: Story, customer: Person) -> Any:
    """Quoted, run by a worker, its result read; what it costs is units times the price."""
    work: dict[str, Any] = {
        "plugin": story.plugin,
        "pipeline": story.pipeline,
        "units": {story.meter: str(story.units)},
    }
    if story.upload is not None:
        form = {"data": {"purpose": "user_data"}, "files": {"file": story.upload}}
        work["files"] = [customer.post("/v1/files", **form)["id"]]
    quote = customer.post("/v1/quotes", {"kind": "pipeline", **work}, 201)
    assert D(quote["expected"]["net"]) == D(story.price) * story.units
    job = customer.post("/v1/pipelines", {**work, "quote_id": quote["id"]}, 201)
    start(make_worker(), queue="pipeline.cpu").join()
    done = customer.get(f"/v1/pipelines/{job['id']}")
    assert done["state"] == "succeeded", done
    file_id = done["result_files"][story.result]
    lines = customer.http.get(f"/v1/files/{file_id}/content").text.splitlines()
    assert len(lines) == story.lines if story.lines != SOME else len(lines) > 100
    return done


@pytest.mark.parametrize(
    "name",
    [name if name == "wordy" else pytest.param(name, marks=pytest.mark.slow) for name in STORIES],
)
def test_a_plugin_earns_its_partner_a_share(
    name: str, staff: Person, partner: Person, customer: Person, tmp_path: Path
) -> None:
    story = STORIES[name]()
    net = D(story.price) * story.units
    listed(story, staff, partner, tmp_path)
    enabled(story, customer)
    before = D(customer.get("/v1/wallet")["available"])
    done = ran(story, customer)
    assert D(done["price"]["charge"]["net"]) == net
    assert before - D(customer.get("/v1/wallet")["available"]) == net

    # its usage: what the plugin counted, and the slot's time, of which the partner bears half
    used = {each["meter"]: D(each["quantity"]) for each in customer.get("/v1/usage")["data"]}
    assert used["plugin.units"] == story.units
    share = SHARE * net
    cost = BORNE * used["slot.seconds"] * SLOT_SECOND
    (balance,) = partner.get("/v1/partner/balances")["data"]
    earned = D(balance["pending"])
    assert abs(earned - (share - cost)) < D("1e-9")  # the list's price is rounded
    relay()
    (fared,) = partner.get("/v1/partner/plugins")["data"]
    assert (fared["installs"], fared["calls"], fared["failures"]) == (1, 1, {})

    # an invoice's line, the partner's statement
    statements_advance(now=next_month(), tenant_id=customer.tenant.id)
    (invoice,) = customer.get("/v1/invoices")["data"]
    lines = customer.get(f"/v1/invoices/{invoice['id']}")["lines"]
    (line,) = [line for line in lines if line["meter"] == "plugin.units"]
    cents = net.quantize(D("0.01"), ROUND_HALF_EVEN)
    assert (D(line["quantity"]), D(line["exact"]), D(line["net"])) == (story.units, net, cents)
    assert partners_advance(now=next_month()) == 1
    (statement,) = partner.get("/v1/partner/statements")["data"]
    assert (D(statement["sales"]), D(statement["share"])) == (net, share)
    assert D(statement["cost"]) == share - earned

    # a payout of whole cents, ordered once, confirmed; what is left waits
    order = {"partner": partner.tenant.id, "key": "first"}
    payout = staff.post("/operator/v1/payouts", order, 201)
    paid = earned.quantize(D("0.01"), ROUND_DOWN)
    assert D(payout["amount"]) == paid
    assert staff.post("/operator/v1/payouts", order, 201)["id"] == payout["id"]
    confirm = f"/operator/v1/payouts/{payout['id']}/confirm"
    assert staff.post(confirm, {"reference": "bank 1"})["state"] == "paid"
    (balance,) = partner.get("/v1/partner/balances")["data"]
    assert (balance["pending"], balance["on_its_way"], balance["owed"]) == ("0", "0", "0")
    assert D(balance["available"]) == earned - paid
    with system_scope():
        assert unbalanced() == []
        assert projections_wrong() == []


def test_a_service_is_ordered_delivered_in_milestones_charged_and_rated(
    staff: Person, partner: Person, customer: Person, tmp_path: Path
) -> None:
    staff.post("/operator/v1/agreements", {"partner": partner.tenant.id, "terms": TERMS}, 201)
    published(tmp_path, partner.tenant)

    def advice() -> Any:
        (found,) = [s for s in customer.get("/v1/services")["data"] if s["title"] == "Advice"]
        return found

    wish = {
        "service": advice()["id"],
        "quantity": "0.03",
        "milestones": [{"title": "a", "quantity": "0.01"}, {"title": "b", "quantity": "0.02"}],
    }
    order = customer.post("/v1/orders", wish, 201)
    assert D(customer.get("/v1/wallet")["held"]) == 3
    path, sold = f"/v1/orders/{order['id']}", f"/v1/partner/orders/{order['id']}"
    partner.refused(f"{path}/confirm", {}, "not_found")
    customer.refused(f"{sold}/accept", {}, "not_found")
    partner.post(f"{sold}/accept")
    partner.post(f"{sold}/deliver", {"note": "the first part"})
    customer.post(f"{path}/reject", {"reason": "half of it is missing"})
    partner.post(f"{sold}/deliver", {"note": "all of the first part"})
    assert customer.post(f"{path}/confirm")["state"] == "accepted"
    partner.post(f"{sold}/deliver", {"milestone": 2, "note": "the rest"})
    assert customer.post(f"{path}/confirm")["state"] == "confirmed"
    assert customer.post(f"{path}/rating", {"stars": 4})["rating"] == 4
    relay()
    assert (advice()["ratings"], advice()["rating"]) == (1, "4")
    assert D(customer.get("/v1/wallet")["held"]) == 0
    (balance,) = partner.get("/v1/partner/balances")["data"]
    assert balance["pending"] == "2.7"
    with system_scope():
        assert unbalanced() == []
