"""Floors, loss budgets, dated price proposals, findings: the platform's own."""

from __future__ import annotations

from decimal import Decimal

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.kernel.rls import append_only, hidden


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_shared_passes"),
        ("pricing", "0005_quote_adjustments"),
    ]

    operations = [
        migrations.CreateModel(
            name="FloorPolicy",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                (
                    "basis",
                    models.CharField(
                        choices=[
                            ("long_run_high", "Long Run High"),
                            ("long_run", "Long Run"),
                            ("short_run", "Short Run"),
                        ],
                        default="long_run_high",
                        max_length=16,
                    ),
                ),
                (
                    "planned_utilisation",
                    models.DecimalField(decimal_places=6, default=Decimal("0.70"), max_digits=7),
                ),
                ("fees", models.DecimalField(decimal_places=6, default=Decimal(0), max_digits=7)),
                ("share", models.DecimalField(decimal_places=6, default=Decimal(0), max_digits=7)),
                ("margin", models.DecimalField(decimal_places=6, default=Decimal(0), max_digits=7)),
                ("days", models.PositiveIntegerField(default=30)),
                ("months", models.PositiveIntegerField(default=12)),
                ("reason", models.CharField(max_length=500)),
                ("set_by", models.CharField(max_length=40)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": "floor_policy",
            },
        ),
        migrations.CreateModel(
            name="FloorFinding",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("book_id", models.CharField(max_length=40)),
                ("tenant_id", models.CharField(blank=True, default="", max_length=40)),
                ("price_key", models.CharField(max_length=1000)),
                ("meter", models.CharField(max_length=60)),
                ("base", models.CharField(max_length=200)),
                ("effective", models.DecimalField(decimal_places=12, max_digits=38)),
                ("floor", models.DecimalField(decimal_places=12, max_digits=38)),
                ("stop", models.DecimalField(decimal_places=12, max_digits=38)),
                ("currency", models.CharField(max_length=3)),
                ("permit", models.CharField(blank=True, default="", max_length=40)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("closed", "Closed")],
                        default="open",
                        max_length=8,
                    ),
                ),
                (
                    "first_seen_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "last_seen_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "floor_finding",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("book_id", "tenant_id", "price_key"),
                        name="floor_finding_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LossBudget",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("campaign_id", models.CharField(blank=True, default="", max_length=40)),
                ("reason", models.CharField(max_length=500)),
                ("amount", models.DecimalField(decimal_places=12, max_digits=38)),
                ("currency", models.CharField(max_length=3)),
                ("volume_cap", models.DecimalField(decimal_places=12, max_digits=38, null=True)),
                (
                    "spent",
                    models.DecimalField(decimal_places=12, default=Decimal(0), max_digits=38),
                ),
                (
                    "volume",
                    models.DecimalField(decimal_places=12, default=Decimal(0), max_digits=38),
                ),
                ("starts", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("approved_by", models.CharField(max_length=40)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "ended_why",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("spent", "Spent"),
                            ("volume", "Volume"),
                            ("expired", "Expired"),
                            ("closed", "Closed"),
                        ],
                        default="",
                        max_length=8,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.tenant",
                    ),
                ),
            ],
            options={
                "db_table": "loss_budget",
            },
        ),
        migrations.CreateModel(
            name="PriceProposal",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("campaign_id", models.CharField(blank=True, default="", max_length=40)),
                ("meter", models.CharField(max_length=60)),
                ("match", models.JSONField(default=dict)),
                ("price_key", models.CharField(max_length=1000)),
                ("charge", models.JSONField()),
                ("replaced", models.JSONField(null=True)),
                ("starts", models.DateTimeField()),
                ("ends", models.DateTimeField()),
                ("volume_cap", models.DecimalField(decimal_places=12, max_digits=38, null=True)),
                ("foreseen", models.JSONField(default=dict)),
                ("note", models.CharField(max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("proposed", "Proposed"),
                            ("approved", "Approved"),
                            ("active", "Active"),
                            ("ended", "Ended"),
                            ("refused", "Refused"),
                        ],
                        default="proposed",
                        max_length=10,
                    ),
                ),
                ("proposed_by", models.CharField(max_length=40)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("decided_by", models.CharField(blank=True, default="", max_length=40)),
                ("decided_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_why", models.CharField(blank=True, default="", max_length=500)),
                (
                    "book",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pricing.pricebook",
                    ),
                ),
                (
                    "end_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pricing.pricebookversion",
                    ),
                ),
                (
                    "loss_budget",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposals",
                        to="pricing.lossbudget",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pricing.pricebookversion",
                    ),
                ),
            ],
            options={
                "db_table": "price_proposal",
            },
        ),
        migrations.CreateModel(
            name="SaleDay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("subject_id", models.CharField(max_length=40)),
                ("day", models.DateField()),
                ("tenant_id", models.CharField(max_length=40)),
                ("price_key", models.CharField(max_length=1000)),
                ("quantity", models.DecimalField(decimal_places=12, max_digits=38)),
                ("net", models.DecimalField(decimal_places=12, max_digits=38)),
                ("floor", models.DecimalField(decimal_places=12, max_digits=38)),
                ("loss", models.DecimalField(decimal_places=12, max_digits=38)),
                (
                    "budget",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="days",
                        to="pricing.lossbudget",
                    ),
                ),
            ],
            options={
                "db_table": "sale_day",
            },
        ),
        migrations.AddConstraint(
            model_name="lossbudget",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0)), name="loss_budget_above_0"
            ),
        ),
        migrations.AddConstraint(
            model_name="lossbudget",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("starts"))), name="loss_budget_dates"
            ),
        ),
        migrations.AddConstraint(
            model_name="priceproposal",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends__gt", models.F("starts"))), name="price_proposal_dates"
            ),
        ),
        migrations.AddConstraint(
            model_name="saleday",
            constraint=models.UniqueConstraint(
                fields=("subject_id", "day", "tenant_id", "price_key"), name="sale_day_once"
            ),
        ),
        hidden("floor_policy"),
        hidden("floor_finding"),
        hidden("loss_budget"),
        hidden("price_proposal"),
        hidden("sale_day"),
        append_only("floor_policy"),
    ]
