"""The market: rivals' products, every move of their prices, and what of it concerns us.

The platform's own; no tenant reads it. Prices are of a million tokens.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from tenants.market.moves import Kind


def price() -> models.DecimalField[Any, Any]:
    """A price of a million tokens; null where it is not known, 0 where it is free."""
    return models.DecimalField(max_digits=20, decimal_places=9, null=True)


class MarketImport(models.Model):
    """One file that was read. The same bytes are read once."""

    class Format(models.TextChoices):
        MOVES = "moves_csv"
        PRICE_LIST = "price_list_json"

    id = models.CharField(max_length=40, primary_key=True)
    format = models.CharField(max_length=20, choices=Format)
    digest = models.CharField(max_length=64)  # sha256 of the file, its unit and its day
    name = models.CharField(max_length=200, default="", blank=True)
    observed_on = models.DateField()  # what the file says, it says of the time until then
    added = models.PositiveIntegerField(default=0)  # moves that were new
    known = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)  # of a list: no text model, or no price
    providers = models.JSONField(default=list)  # of a list: whom it was read for, in lower case
    imported_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "market_import"
        constraints = (models.UniqueConstraint(fields=["digest"], name="market_import_once"),)

    def __str__(self) -> str:
        return self.name or self.id


class MarketProduct(models.Model):
    """One rival's model, with the price that holds as far as is known.

    `model_class` is what it competes with like for like; empty until somebody says. During an
    announced promotion the price is the promotion's.
    """

    id = models.CharField(max_length=40, primary_key=True)
    provider = models.CharField(max_length=80)
    model = models.CharField(max_length=160)
    model_class = models.CharField(max_length=40, default="", blank=True)
    currency = models.CharField(max_length=3)
    input = price()
    output = price()
    cached = price()
    priced_on = models.DateField()
    promotion_until = models.DateField(null=True)
    regular_input = price()
    regular_output = price()

    class Meta:
        db_table = "market_product"
        constraints = (
            models.UniqueConstraint(fields=["provider", "model"], name="market_product_once"),
        )
        indexes = (models.Index(fields=["model_class"], name="market_product_class"),)

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"


class MarketMove(models.Model):
    """What was seen to happen on a day; see `moves.PriceMove`. Append-only."""

    id = models.BigAutoField(primary_key=True)
    product = models.ForeignKey(MarketProduct, on_delete=models.PROTECT, related_name="moves")
    source_file = models.ForeignKey(MarketImport, on_delete=models.PROTECT, related_name="moves")
    date = models.DateField()
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in Kind])
    currency = models.CharField(max_length=3)
    input_before = price()
    output_before = price()
    input_after = price()
    output_after = price()
    source = models.CharField(max_length=300, default="", blank=True)
    confidence = models.CharField(max_length=20, default="secondary")
    until = models.DateField(null=True)
    ends_at_least = models.BooleanField(default=False)
    permanent_from = models.DateField(null=True)

    class Meta:
        db_table = "market_move"
        constraints = (
            models.UniqueConstraint(fields=["product", "date", "kind"], name="market_move_once"),
        )
        indexes = (models.Index(fields=["-date"], name="market_move_date"),)

    def __str__(self) -> str:
        return f"{self.date} {self.kind}"


class MarketOffer(models.Model):
    """Which class a base model of ours competes in."""

    base = models.CharField(max_length=200, primary_key=True)
    model_class = models.CharField(max_length=40)

    class Meta:
        db_table = "market_offer"

    def __str__(self) -> str:
        return f"{self.base} in {self.model_class}"


class MarketAlert(models.Model):
    """A recent move of a rival beside an offer of ours, in the currency of our costs.

    Amounts are blended prices of a million tokens; `floor` is null where nothing was served yet.
    """

    class Level(models.TextChoices):
        BELOW_FLOOR = "below_floor"
        BELOW_PRICE = "below_price"
        MOVED = "moved"

    id = models.CharField(max_length=40, primary_key=True)
    move = models.ForeignKey(MarketMove, on_delete=models.PROTECT, related_name="alerts")
    base = models.CharField(max_length=200)
    level = models.CharField(max_length=20, choices=Level)
    currency = models.CharField(max_length=3)
    theirs = price()
    ours = price()
    floor = price()
    created_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(null=True)
    seen_by = models.CharField(max_length=80, default="", blank=True)

    class Meta:
        db_table = "market_alert"
        constraints = (models.UniqueConstraint(fields=["move", "base"], name="market_alert_once"),)

    def __str__(self) -> str:
        return f"{self.level} {self.base}"


class AlertDelivery(models.Model):
    """An alert on its way to the operator's webhook. A dead one was given up, with its reason."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        DEAD = "dead"

    alert = models.OneToOneField(
        MarketAlert, primary_key=True, on_delete=models.PROTECT, related_name="delivery"
    )
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        db_table = "market_alert_delivery"
        indexes = (
            models.Index(
                fields=["due_at"],
                condition=models.Q(state="waiting"),
                name="market_alert_delivery_due",
            ),
        )

    def __str__(self) -> str:
        return f"{self.alert_id} {self.state}"
