"""What runs inside the child for a purchase plan. Never imported by the parent: it is its ENTRY."""

from __future__ import annotations

from tenants.costs.plan_report import plan_work_out
from workers.tasks.channel import Channel, Frame
from workers.tasks.pure_child import run_pure


def run(channel: Channel, request: Frame) -> None:
    """Work out the plan that `request` describes and send its result."""
    run_pure(channel, request, plan_work_out)
