"""The demo, step by step: two organisations, real data, two models, and what it all cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from openai import OpenAI

from plugins.host.errors import HostError
from saas.demo import campaign, cards, compress, money, partners, work
from saas.demo.data import Corpus, character_corpus, library_corpus
from saas.demo.identities import (
    DemoFailed,
    DemoFile,
    identity_works,
    sign_up,
)
from saas.demo.narration import Narration
from saas.demo.operator import CostReport, conserved, operator_identity
from saas.demo.plots import plot_losses, plot_margins

CUSTOMERS = ("customer", "rival")
FALLS_CLEARLY = 0.3  # nats per token off the held-out loss: perplexity falls by a quarter
JOBS_LIMIT_S = 180.0
TOP_UP = "20.00"  # US dollars


@dataclass
class Story:
    """Runs against a system that is up. Raises DemoFailed at the first step that does not hold."""

    base_url: str
    var: Path
    narration: Narration
    file: DemoFile = field(init=False)
    runs: dict[str, work.FineTuned] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = self.var / "demo.json"
        kept = DemoFile.load(self.path)
        self.file = DemoFile(self.base_url, f"{self.base_url}/v1")
        if kept is not None:
            self.file.identities = kept.identities

    def tell(self) -> None:
        with self.narration.step("Sign up two customers, a partner, and an operator"):
            self._people()
        with self.narration.step("Add to the welcome credit by bank transfer"):
            self._credit()
        with self.narration.step("Pay by card, subscribe to a plan, be invoiced for the rest"):
            self._stripe()
        with self.narration.step(
            "Upload real data, see the price, fine-tune both at the same time"
        ):
            self._fine_tune()
        with self.narration.step("Call the fine-tuned models with the ordinary OpenAI client"):
            self._call()
        with self.narration.step(
            "Make the customer's model smaller, down to a price, and serve it"
        ):
            self._compress()
        with self.narration.step("Run a partner's plugin on real data, and share what it earns"):
            self._partner()
        with self.narration.step("Who used what, and what it cost"):
            self._account()
        with self.narration.step("What was quoted, charged and earned, and that it adds up"):
            self._books()
        with self.narration.step("Rehearse a price war on these books"):
            self._campaign()
        self.file.save(self.path)

    def _people(self) -> None:
        for role in (*CUSTOMERS, "partner"):
            kept = self.file.identities.get(role)
            if kept is None or not identity_works(self.base_url, kept):
                self.file.identities[role] = sign_up(self.base_url, role)
        self.file.identities["operator"] = operator_identity(
            self.base_url, self.file.identities.get("operator")
        )
        self.file.save(self.path)
        for role, identity in self.file.identities.items():
            self.narration.say(f"{role:9s} {identity.email}  tenant {identity.tenant}")

    def _credit(self) -> None:
        for role in CUSTOMERS:
            customer = self._account_of(role)
            before = customer.get("/v1/wallet")["available"]
            reference = money.top_up(customer, self._account_of("operator"), TOP_UP)
            wallet = customer.get("/v1/wallet")
            self.narration.say(
                f"{role:9s} had {before}, transferred {TOP_UP} under {reference}: "
                f"now {wallet['available']} {wallet['currency']} of credit"
            )

    def _stripe(self) -> None:
        if not cards.is_local():
            self.narration.say("left out: `make demo STRIPE=local` brings a Stripe to pay through")
            return
        wallet = cards.top_up(self._account_of("customer"))
        now = f"{wallet['available']} {wallet['currency']}"
        self.narration.say(f"customer   paid {cards.TOP_UP} by card: now {now}")
        operator = self._account_of("operator")
        for role in ("subscriber", "client"):
            self.file.identities[role] = sign_up(self.base_url, role)
            card = cards.save_card(self._account_of(role))
            self.narration.say(f"{role:10s} signed up and saved a card, {card}")
        plan = cards.subscribe(operator, self.file.identities["subscriber"].tenant)
        self.narration.say(
            f"subscriber plan of {cards.PLAN_FEE} a month: {plan['stripe_id']} is {plan['status']}"
        )
        client = self._account_of("client")
        cards.consult(client, operator, hours=2)
        cards.tell_payment(self.narration, cards.leave(operator, client.identity.tenant))
        cards.reconcile(self.narration)

    def _fine_tune(self) -> None:
        corpora: dict[str, Corpus] = {
            "customer": library_corpus(examples=700, held_out=80),
            "rival": character_corpus(examples=900, held_out=100),
        }
        clients = {role: self._client(role) for role in CUSTOMERS}
        self.file.base_model = _base_model(clients["customer"])
        jobs = []
        for role, corpus in corpora.items():
            rows = corpus.training.count(b"\n")
            self.narration.say(f"{role:9s} {corpus.name}: {rows} examples")
            body = work.upload(clients[role], corpus, self.file.base_model)
            quote = money.quote(self._account_of(role), body)
            money.say_quote(self.narration, role, quote)
            job = work.start_fine_tune(clients[role], body, quote["id"])
            jobs.append((clients[role], job.id))
        ended = work.wait_for_all(jobs, self.narration.say, limit_s=JOBS_LIMIT_S)
        together = work.ran_together(ended)
        if together <= 0:
            raise DemoFailed("the two jobs ran one after the other, not at the same time")
        self.narration.say(f"both ran at the same time for {together:.0f} s")
        for role, job in zip(CUSTOMERS, ended, strict=True):
            self.runs[role] = work.fine_tuned(clients[role], job)
        self._judge()

    def _judge(self) -> None:
        rows = []
        for role, run in self.runs.items():
            factor = math.exp(run.loss_after - run.loss_before)
            losses = (f"{run.loss_before:.3f}", f"{run.loss_after:.3f}")
            rows.append((role, *losses, f"× {factor:.2f}", run.model))
        self.narration.table(("held-out loss", "before", "after", "perplexity", "model"), rows)
        for role, run in self.runs.items():
            if not run.loss_after < run.loss_before - FALLS_CLEARLY:
                raise DemoFailed(
                    f"the {role}'s held-out loss went from {run.loss_before:.3f} to "
                    f"{run.loss_after:.3f}: no clear fall"
                )
        self.file.fine_tuned_models = [run.model for run in self.runs.values()]
        picture = self.var / "loss.png"
        plot_losses(self.runs, picture)
        self.narration.say(f"loss curves: {picture}")

    def _call(self) -> None:
        corpora = {
            "customer": library_corpus(examples=700, held_out=80),
            "rival": character_corpus(examples=900, held_out=100),
        }
        for role, corpus in corpora.items():
            client, run = self._client(role), self.runs[role]
            answer, first = work.ask(client, run.model, corpus.question)
            if not answer:
                raise DemoFailed(f"{run.model} answered nothing")
            self.narration.say(f"{role}: {corpus.question}")
            self.narration.say(f"  → {answer}   (first token after {first:.1f} s)")
        vectors = self._client("customer").embeddings.create(
            model="all-minilm-l6-v2", input=["price war", "falling prices", "a recipe for soup"]
        )
        near, far = (_cosine(vectors.data[0].embedding, vectors.data[i].embedding) for i in (1, 2))
        if not near > far:
            raise DemoFailed("embeddings find soup nearer to a price war than falling prices")
        self.narration.say(f"'price war' is to 'falling prices' {near:.2f}, to soup {far:.2f}")

    def _compress(self) -> None:
        customer, operator = self._account_of("customer"), self._account_of("operator")
        found = compress.compress(self.narration, customer, operator, self.runs["customer"])
        compress.tell(self.narration, found)
        picture = self.var / "compression.svg"
        compress.plot_save(customer, found, picture)
        self.narration.say(f"candidates by cost and quality: {picture}")
        question = library_corpus(examples=700, held_out=80).question
        answer, first = work.ask(self._client("customer"), found.model, question)
        if not answer:
            raise DemoFailed(f"{found.model} answered nothing")
        self.narration.say(f"{question}\n  → {answer}   (first token after {first:.1f} s)")
        self.file.compressed_model = found.model

    def _partner(self) -> None:
        partner, customer = self._account_of("partner"), self._account_of("customer")
        try:
            listing = partners.publish(partner, self._account_of("operator"))
        except HostError as error:
            self.narration.say(f"left out: this machine confines no plugin ({error})")
            return
        release = f"{listing['plugin']} {listing['version']}"
        self.narration.say(f"partner   {release}: judged, reviewed, {listing['state']}")
        partners.enable(customer)
        job = partners.run(customer)
        figures = ", ".join(f"{name} {number:.4g}" for name, number in job["figures"].items())
        self.narration.say(f"customer  {figures}")
        price = job["price"]
        self.narration.say(
            f"customer  paid {price['charge']['net']} {price['currency']}; "
            f"the partner has earned {partners.earned(partner)}"
        )

    def _account(self) -> None:
        report = CostReport.fetch(self.base_url, self.file.identities["operator"].api_key)
        jobs = {run.job.id: role for role, run in self.runs.items()}
        report.tell(self.narration, jobs)
        conserved(self.narration)

    def _books(self) -> None:
        found = self._account_of("operator").get("/operator/v1/margins")["data"]
        margins = {row["job_id"]: row for row in found}
        rows = {role: margins[run.job.id] for role, run in self.runs.items()}
        names = ("quoted", "quoted_high", "charged", "cost", "margin")
        header = ("fine-tune", "quoted", "at most", "charged", "cost", "margin")
        table = [(role, *(money.cents(row[name]) for name in names)) for role, row in rows.items()]
        self.narration.table(header, table)
        for role, row in rows.items():
            if not 0 < Decimal(row["charged"]) <= Decimal(row["quoted_high"]):
                raise DemoFailed(f"the {role} was charged {row['charged']}: beyond its quote")
            invoice = money.add_up(self._account_of(role))
            money.tell_invoice(self.narration, role, invoice)
        self.narration.say("charges = invoice lines = revenue in the ledger, to the last digit")
        books = money.balance(self._account_of("operator"))
        self.narration.say(
            f"the ledger's {len(books['accounts'])} accounts sum to zero, and wallets, grants, "
            "holds and budgets agree with its postings"
        )
        picture = self.var / "money.png"
        plot_margins(rows, picture)
        self.narration.say(f"quotes, charges and costs: {picture}")

    def _campaign(self) -> None:
        operator, base = self._account_of("operator"), self.file.base_model
        place = campaign.prepare(operator, base)
        self.narration.say(
            f"a million tokens of {base} cost {place['price']} {place['currency']}; of the "
            f"cheapest of {len(place['rivals'])} rivals, {place['cheapest']}"
        )
        self.file.campaign = campaign.rehearse(operator, base)
        folder = self.var / "campaign"
        for line in campaign.files_save(operator, self.file.campaign, folder).splitlines():
            self.narration.say(line)
        self.narration.say(f"the brief in two languages, and its plots: {folder}")

    def _account_of(self, role: str) -> money.Account:
        return money.Account(self.base_url, self.file.identities[role])

    def _client(self, role: str) -> OpenAI:
        return work.client_for(self.file.openai_base_url, self.file.identities[role])


def _base_model(client: OpenAI) -> str:
    """The catalogue's text model."""
    found = [model for model in client.models.list() if model.owned_by == "breakwater"]
    text = [m.id for m in found if (m.model_extra or {}).get("base_kind") == "text_generation"]
    if not text:
        names = ", ".join(model.id for model in found)
        raise DemoFailed(f"no text model is in the catalogue, only {names or 'nothing'}")
    return text[0]


def _cosine(first: list[float], second: list[float]) -> float:
    """Cosine of two unit vectors."""
    return sum(a * b for a, b in zip(first, second, strict=True))
