"""A plugin as written against SDK 1.0: every hook, contracts by position. Not to be changed."""

import json
from decimal import Decimal

from plugins.sdk import (
    CampaignPolicy,
    Claim,
    DatasetReader,
    Meter,
    Method,
    Panel,
    Pipeline,
    PluginError,
    Price,
    QuoteAdjustment,
    Service,
    Step,
    StepResult,
    hookimpl,
)


@hookimpl
def pipelines():
    return (Pipeline("p", "P", (Step("s", "train", "cpu", 60.0),)),)


@hookimpl
def run_step(work, step):
    start = work.state["at"] if work.state else 0
    if len(work.inputs) > 1:
        raise PluginError("one file is enough")
    for at in range(start, 4):
        work.snapshot({"at": at + 1})
        work.beat((at + 1) / 4)
    with work.create("out.txt") as out:
        out.write(f"{step} {[h.name for h in work.inputs]} {work.settings}".encode())
    return StepResult({"n": 4}, ("out.txt",), (Claim("rows", Decimal(2)),), "notice")


@hookimpl
def dataset_readers():
    return (DatasetReader("r", (".x",)),)


@hookimpl
def read_dataset(reader, work):
    (handle,) = work.inputs
    with work.open(handle) as source, work.create("lines.jsonl") as out:
        out.write(
            json.dumps(
                {"text": source.read().decode(errors="replace"), "size": handle.size}
            ).encode()
        )
    return StepResult(files=("lines.jsonl",))


@hookimpl
def prepare_dataset(work):
    return StepResult()


@hookimpl
def training_methods():
    return (Method("t", "T", "cpu"),)


@hookimpl
def compression_methods():
    return (Method("c", "C"),)


@hookimpl
def evaluations():
    return (Method("e", "E"),)


@hookimpl
def run_method(kind, method, work):
    return StepResult({"called": f"{kind} {method}"})


@hookimpl
def campaign_policies():
    return (CampaignPolicy("follow", "Follow"),)


@hookimpl
def campaign_prices(policy, campaign):
    pairs = zip(campaign.rival_prices, campaign.unit_costs, campaign.own_prices, strict=True)
    return tuple(max(rival, cost) for rival, cost, _ in pairs) if campaign.step >= 0 else ()


@hookimpl
def services():
    return (Service("s", "S", "d", "once", Decimal(1), "USD"),)


@hookimpl
def meters():
    return (Meter("rows", "row", "Rows", Decimal(100)),)


@hookimpl
def prices():
    return (Price("rows", Decimal("0.1"), "USD"),)


@hookimpl
def quote_adjustment(quote):
    if quote.job_kind == "compress":
        return None
    return QuoteAdjustment(-quote.amount / 10, quote.currency, "ten per cent")


@hookimpl
def job_finished(job):
    assert job.state in {"succeeded", "failed", "cancelled"}, (job.job_id, job.kind)


@hookimpl
def usage_recorded(usage):
    assert usage.quantity >= 0, (usage.key, usage.meter)


@hookimpl
def console_panels(page):
    rows = tuple((each.meter, f"{each.quantity} {each.unit}") for each in page.usage)
    return (Panel("p", page.month, ("a", "b"), rows),)
