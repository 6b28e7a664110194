"""Each rule on cases worked by hand. The judgement as a whole stands in `test_world`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from workers.waste.facts import (
    MONTH_S,
    Compressed,
    Deployment,
    Facts,
    Level,
    Passes,
    Pool,
    Price,
    Sharing,
    Spell,
    Spot,
    Stored,
    Target,
    Terms,
    Work,
    Worker,
)
from workers.waste.finders import FINDERS
from workers.waste.findings import Finding
from workers.waste.levels import cheapest_level
from workers.waste.replay import findings_of, joint_saving, savings_beside
from workers.waste.reuse import reuse_within_month
from workers.waste.serving_time import Awake, awake

DAY = 86400.0
GPU = Price(Decimal("0.001"), spot=Spot(Decimal("0.0003"), 0.1, 100.0))
PRICES = {"gpu": GPU, "owned": Price(Decimal("0.001"), Decimal(0)), "cpu": Price(Decimal("0.0001"))}


def facts(**parts: object) -> Facts:
    return Facts(MONTH_S, PRICES, Decimal("0.02"), **parts)  # type: ignore[arg-type]


def only(given: Facts, terms: Terms | None = None) -> Finding:
    (finding,) = findings_of(given, terms or Terms())
    return finding


def called(*minutes: float, sleep_after_s: float, **fields: object) -> Deployment:
    uses = tuple((m * 60, m * 60 + 60) for m in minutes)
    return Deployment("d", "t", "m", sleep_after_s, uses, **fields)  # type: ignore[arg-type]


def target(*deployments: Deployment, **fields: object) -> Target:
    given = {"resource": "gpu", "load_s": 30.0} | fields
    return Target("x", deployments=deployments, **given)  # type: ignore[arg-type]


def test_a_target_is_awake_while_any_of_its_deployments_wants_it() -> None:
    first = called(0, sleep_after_s=600)
    other = replace(called(5, 100, sleep_after_s=60), id="e")
    assert awake([first, other], DAY) == Awake(660 + 120, 2)
    assert awake([first], DAY, {"d": 10}) == Awake(70, 1)
    assert awake([first], 300) == Awake(300, 1)
    assert awake([called(sleep_after_s=9)], DAY) == Awake(0, 0)


def test_one_call_a_day_is_not_worth_a_day_awake() -> None:
    """Ten calls, each kept for a day: 10 x 86,460 s; after 330 s asleep (a wake is worth
    30 x 0.011 USD), of the settings tried a minute is the cheapest.
    """
    calls = called(*(1440 * n for n in range(10)), sleep_after_s=DAY)
    finding = only(facts(targets=(target(calls),)))
    assert finding.kind == "idle_deployment"
    assert finding.arguments == {"sleep_after_s": {"d": 60}}
    awake_before, awake_after = 9 * DAY + DAY + 60, 10 * 120
    loads = 9 * 30  # it was loaded once, and now ten times
    assert finding.saving == Decimal(str(round((awake_before - awake_after - loads) * 0.001, 2)))


def test_what_is_paid_for_shared_or_owned_is_no_waste() -> None:
    calls = called(*(1440 * n for n in range(10)), sleep_after_s=DAY)
    paid = replace(calls, rent=Decimal(4))
    neighbour = replace(called(*range(0, 43200, 2), sleep_after_s=900), id="e")
    for kept in (
        target(paid),
        target(calls, neighbour),
        target(calls, resource="owned"),
        target(calls, load_s=None),
    ):
        assert findings_of(facts(targets=(kept,)), Terms()) == []


def test_two_forgotten_deployments_of_one_target_are_found_together() -> None:
    """Either alone changes nothing: the other keeps the replica awake."""
    first = called(0, sleep_after_s=20 * DAY)
    both = target(first, replace(first, id="e", tenant_id="u"))
    finding = only(facts(targets=(both,)))
    assert set(finding.arguments["sleep_after_s"]) == {"d", "e"}
    assert finding.tenant_id == ""


@pytest.mark.parametrize(
    ("levels", "unknown_s", "kept"),
    [
        ([Level(2, 1000)], 0.0, 2),
        ([Level(1, 999), Level(3, 1)], 0.0, 1),  # a thousandth of the time: not worth two slots
        ([Level(1, 980), Level(3, 20)], 0.0, 3),
        ([Level(1, 990)], 10.0, 1),
        ([Level(1, 999), Level(3, 1)], 50.0, 3),  # what was not seen may have been as busy
        ([Level(0.4, 1000)], 0.0, 1),
        ([Level(0, 1000)], 0.0, 0),
        ([], 1000.0, 5),
    ],
)
def test_the_level_at_which_holding_and_lacking_cost_the_least(
    levels: list[Level], unknown_s: float, kept: int
) -> None:
    assert cheapest_level(levels, held=5, unknown_s=unknown_s, shortage=100) == kept


def test_spare_replicas_and_a_smaller_model_overlap() -> None:
    """Four replicas were held where one and a half were needed."""
    always = called(*range(0, 43200, 2), sleep_after_s=900)
    busy = target(
        always,
        levels=(Level(1.5, MONTH_S),),
        holding=(Level(4.0, MONTH_S),),
        limit=6,
        compressed=(Compressed(0.5, Decimal(6)),),
    )
    smaller, fewer = findings_of(facts(targets=(busy,)), Terms())
    assert fewer.arguments == {"max_replicas": 2}
    assert fewer.saving == Decimal(5184)  # two replicas for 2,592,000 s
    assert smaller.kind == "dense_models"
    assert smaller.saving == Decimal("4536.00")  # 4 - (3.5 x 0.5 + 0.5) = 1.75 of them
    given = facts(targets=(busy,))
    joint = joint_saving(given, [smaller, fewer])
    assert joint == Decimal("5184.00")  # 2.25 are left after the one, 2 after the other
    assert sum(savings_beside(given, [smaller, fewer])).quantize(Decimal("0.01")) == joint


def worker(name: str, **fields: object) -> Worker:
    given = {"slots": 2, "work_s": 5e5, "lost": 0, "redo_s": 0.0} | fields
    return Worker(name, "gpu", **given)  # type: ignore[arg-type]


def test_whole_workers_leave_the_emptiest_first() -> None:
    workers = (worker("a", work_s=9e5), worker("b"), worker("c", work_s=1e5, slots=4))
    pool = Pool("gpu", 8, workers, (Level(3.0, MONTH_S),))
    finding = only(facts(pools=(pool,)))
    assert finding.arguments == {"workers": ["c"]}  # 5 are spare: b with it would be one too many
    assert finding.saving == 4 * Decimal(2592)


def test_a_worker_is_faulty_beyond_chance_only() -> None:
    def losing(lost: int) -> list[Finding]:
        others = tuple(worker(f"w{n}", lost=2, redo_s=1000.0) for n in range(9))
        bad = worker("bad", lost=lost, redo_s=1000.0)
        pool = Pool("gpu", 20, (*others, bad), (Level(20.0, MONTH_S),))
        return findings_of(facts(pools=(pool,)), Terms())

    assert losing(4) == []
    (finding,) = losing(20)
    assert finding.subject == "bad"
    usual = 18.5 / 9  # what the nine others lost, and half a loss more
    assert finding.saving == Decimal(str(round(20 - usual, 2)))  # each a thousand seconds again


def work(**fields: object) -> Work:
    given = {"kind": "fine_tune", "base": "b", "resource": "gpu", "jobs": 10, "slot_s": 36000.0}
    return Work("w", "t", **given | fields)  # type: ignore[arg-type]


def test_work_goes_where_it_costs_the_least() -> None:
    finding = only(facts(work=(work(elsewhere={"cpu": 180_000.0, "gone": 1.0}),)))
    assert finding.arguments == {"resource": "cpu"}
    assert finding.saving == Decimal("18.00")  # 36 on the GPU, 18 on five times as many cores
    dearer = work(elsewhere={"cpu": 400_000.0})
    assert findings_of(facts(work=(dearer,)), Terms()) == []


def test_sharing_must_gain_more_than_the_measurement_errs() -> None:
    alone = work(sharing=Sharing(1.0, 0.6, 0.5, spread=0.05))
    assert only(facts(work=(alone,))).saving == Decimal("7.20")  # 40% of half of 36
    unsure = work(sharing=Sharing(1.0, 0.95, 1.0, spread=0.05))
    assert findings_of(facts(work=(unsure,)), Terms()) == []


def test_passes_are_enlarged_to_what_fits() -> None:
    finding = only(facts(work=(work(passes=Passes(2.0, 1.5, 8192)),)))
    assert finding.arguments == {"micro_batch_tokens": 8192}
    assert finding.saving == Decimal("9.00")


def test_patient_work_goes_to_spot_where_few_jobs_come_late() -> None:
    """Ten jobs of an hour, a snapshot each 600 s, an interruption in ten hours."""
    patient = work(snapshot_s=600.0, patience_s=3600.0)
    finding = only(facts(work=(patient,)))
    assert finding.action == "move_to_spot"
    assert Decimal("24.9") < finding.saving < Decimal("25.2")  # 36 - 10.8 and a little again
    assert findings_of(facts(work=(replace(patient, patience_s=100.0),)), Terms()) == []
    assert findings_of(facts(work=(replace(patient, patience_s=None),)), Terms()) == []
    half = facts(work=(replace(patient, on_demand=0.5),))
    assert only(half).saving == (finding.saving / 2).quantize(Decimal("0.01"))
    (alone,) = savings_beside(half, [only(half)])
    assert abs(alone - only(half).saving) < Decimal("0.01")
    assert findings_of(facts(work=(replace(patient, on_demand=0.0),)), Terms()) == []


def test_reuse_is_what_was_seen_of_pauses_as_long() -> None:
    spells = [
        Spell(5 * DAY, used_again=True),
        Spell(50 * DAY, used_again=True),
        Spell(200 * DAY, used_again=False),
        Spell(20 * DAY, used_again=False),  # too young to say
    ]
    chance = reuse_within_month(spells)
    assert chance(0) == (1 + 0.5) / (1 + 2 + 1)
    assert chance(40 * DAY) == (1 + 0.5) / (1 + 1 + 1)
    assert chance(300 * DAY) == 0.5


def test_objects_go_when_keeping_costs_more_than_missing_them_might() -> None:
    spells = tuple(Spell(400 * DAY, used_again=False) for _ in range(99))
    old = Stored("a", "t", 1000.0, 200 * DAY, Decimal(100))
    dear = replace(old, id="b", remake=Decimal(100_000))
    paid = replace(old, id="c", paid=Decimal(30))
    unknown = replace(old, id="d", remake=None)
    given = facts(versions=(old, dear, paid, unknown), version_spells=spells)
    finding = only(given)
    assert finding.arguments == {"ids": ["a"]}
    assert finding.saving == Decimal("20.00")
    files = facts(files=(unknown,), file_spells=spells)
    assert only(files).action == "expire"


def test_a_finding_must_be_worth_a_look() -> None:
    little = facts(work=(work(passes=Passes(2.0, 1.5, 8192)),))
    assert findings_of(little, Terms(worth=Decimal(10))) == []


def test_every_kind_leaves_the_bill_lower_by_what_it_promised() -> None:
    always = called(*range(0, 43200, 2), sleep_after_s=900)
    given = facts(
        targets=(target(always, levels=(Level(1.0, MONTH_S),), holding=(Level(3.0, MONTH_S),),
                        limit=3, compressed=(Compressed(0.4, Decimal(1)),)),
                 replace(target(called(0, sleep_after_s=9 * DAY)), id="y")),
        pools=(Pool("gpu", 4, (worker("a"), worker("b", lost=30, redo_s=999.0)),
                    (Level(2.0, MONTH_S),)),),
        work=(work(snapshot_s=600.0, patience_s=3600.0, elsewhere={"cpu": 9e4},
                   sharing=Sharing(1.0, 0.5, 1.0), passes=Passes(2.0, 1.0, 4096)),),
        versions=(Stored("v", "t", 900.0, DAY, Decimal(0)),),
        files=(Stored("f", "t", 9000.0, DAY, None),),
    )  # fmt: skip
    found = findings_of(given, Terms())
    assert {finding.kind for finding in found} == set(FINDERS)
    for finding in found:
        (alone,) = savings_beside(given, [finding])
        assert abs(alone - finding.saving) < Decimal("0.01"), finding.kind
    assert joint_saving(given, found) < sum(finding.saving for finding in found)
