"""The doctor sees what is wrong with secrets, folders, models, queues and work."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_django import Settings

from saas.doctor.examination import examine, healthy
from saas.doctor.files import base_models_check, folders_check, storage_check
from saas.doctor.findings import Finding, Health, failed, good, off, warning
from saas.doctor.queues import broker_check, redis_check
from saas.doctor.secrets import data_keys_check, settings_check
from saas.doctor.work import outbox_check, web_check, workers_check
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.clock import now
from tenants.kernel.crypto import data_keys_rewrap
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tests.saas.doctor.factories import healths, the_only
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.jobs.states import Kind, State
from workers.jobs.workers import worker_register, worker_stop

pytestmark = pytest.mark.django_db

NOWHERE = "127.0.0.1:1"


def fresh_kek(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


def test_settings_that_were_never_made_fail(settings: Settings) -> None:
    settings.SECRET_KEY = "unconfigured-run-make-up-first"
    finding = next(iter(settings_check()))
    assert (finding.health, finding.todo) == (Health.FAILED, "run: make up")


def test_debug_is_a_warning(settings: Settings) -> None:
    assert "debug" not in healths(settings_check())
    settings.DEBUG = True
    assert healths(settings_check())["debug"] is Health.WARNING


@pytest.mark.parametrize("keys", ["", "k1:not-base64!", "k1:c2hvcnQ=", "no-colon"])
def test_key_encryption_keys_that_cannot_seal_fail(settings: Settings, keys: str) -> None:
    settings.KEY_ENCRYPTION_KEYS = keys
    assert the_only(data_keys_check()).health is Health.FAILED


def test_a_lost_key_encryption_key_fails_and_a_rotated_one_asks_for_rewrapping(
    settings: Settings,
) -> None:
    platform_tenant_ensure()
    old, new = settings.KEY_ENCRYPTION_KEYS, fresh_kek("k-new")
    assert the_only(data_keys_check()).health is Health.GOOD
    settings.KEY_ENCRYPTION_KEYS = new
    assert the_only(data_keys_check()).health is Health.FAILED
    settings.KEY_ENCRYPTION_KEYS = f"{new},{old}"
    assert the_only(data_keys_check()).health is Health.WARNING
    with system_scope():
        data_keys_rewrap()
    assert the_only(data_keys_check()).health is Health.GOOD


def test_a_key_of_the_right_name_and_wrong_bytes_fails(settings: Settings) -> None:
    platform_tenant_ensure()
    name = settings.KEY_ENCRYPTION_KEYS.split(":")[0]
    settings.KEY_ENCRYPTION_KEYS = fresh_kek(name)
    assert the_only(data_keys_check()).health is Health.FAILED


def test_a_folder_that_cannot_be_written_fails(settings: Settings) -> None:
    settings.SCRATCH_DIR = Path("/proc/breakwater-scratch")  # not even root writes there
    finding = the_only(folders_check())
    assert finding.health is Health.FAILED
    assert "/proc/breakwater-scratch" in finding.message


def test_scratch_that_others_can_look_into_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    settings.SCRATCH_DIR = tmp_path
    tmp_path.chmod(0o755)
    assert healths(folders_check())["scratch folder"] is Health.WARNING
    tmp_path.chmod(0o700)
    assert "scratch folder" not in healths(folders_check())


def test_the_storage_gives_back_what_it_was_given_and_keeps_no_probe(
    settings: Settings,
) -> None:
    assert the_only(storage_check()).health is Health.GOOD
    probes = Path(settings.STORAGE_DIR) / "doctor"
    assert list(probes.iterdir()) == []


def test_a_base_model_whose_folder_is_gone_fails_by_name(tmp_path: Path) -> None:
    assert the_only(base_models_check()).health is Health.WARNING
    with system_scope():
        BaseModel.objects.create(
            id="mini", kind="text_generation", family="llama", licence="MIT", parameters=1,
            bytes=1, context_length=8, path=str(tmp_path / "gone"), sha256="0" * 64,
        )  # fmt: skip
    finding = the_only(base_models_check())
    assert (finding.about, finding.health) == ("base model mini", Health.FAILED)


def test_redis_answers_or_fails_without_telling_its_password(
    settings: Settings, redis_url: str
) -> None:
    assert the_only(redis_check()).health is not Health.FAILED
    settings.REDIS_URL = f"redis://:open-sesame@{NOWHERE}/0"
    finding = the_only(redis_check())
    assert finding.health is Health.FAILED
    assert NOWHERE in finding.message
    assert "sesame" not in finding.message


@contextmanager
def answering(greeting: bytes) -> Iterator[str]:
    """A server on loopback that greets one caller; yields host:port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(8)
                connection.sendall(greeting)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("greeting", "health"),
    [(b"\x01\x00\x00", Health.GOOD), (b"AMQP\x00\x01\x00\x00", Health.FAILED)],
)
def test_a_broker_must_speak_amqp(settings: Settings, greeting: bytes, health: Health) -> None:
    """RabbitMQ answers the greeting with a method frame (type 1), or else with its own version."""
    with answering(greeting) as address:
        settings.BROKER_URL = f"amqp://guest:guest@{address}//"
        assert the_only(broker_check()).health is health


def test_a_broker_that_is_not_there_fails(settings: Settings) -> None:
    settings.BROKER_URL = f"amqp://guest:open-sesame@{NOWHERE}//"
    finding = the_only(broker_check())
    assert finding.health is Health.FAILED
    assert "sesame" not in finding.message


def event_make(minutes_ago: int, attempts: int = 0) -> None:
    from datetime import timedelta

    with system_scope():
        OutboxEvent.objects.create(
            event_id=f"evt_{minutes_ago}", name="job.queued", aggregate_id="j", payload={},
            attempts=attempts, available_at=now() - timedelta(minutes=minutes_ago),
        )  # fmt: skip


def test_events_that_nobody_relays_fail() -> None:
    assert the_only(outbox_check()).health is Health.GOOD
    event_make(minutes_ago=-5, attempts=3)
    assert the_only(outbox_check()).health is Health.WARNING
    event_make(minutes_ago=5)
    assert the_only(outbox_check()).health is Health.FAILED


def test_workers_must_live_and_serve_the_queues_that_wait() -> None:
    assert the_only(workers_check()).health is Health.FAILED
    worker = worker_register(name="w", worker_class="cpu", queues=["train.cpu"], slots=2)
    assert healths(workers_check()) == {"workers": Health.GOOD}
    tenant = platform_tenant_ensure()
    with system_scope():
        Job.objects.create(
            id="evaljob_1", tenant=tenant, kind=Kind.EVALUATE, state=State.QUEUED,
            queue="infer.cpu", spec={},
        )  # fmt: skip
    assert healths(workers_check())["queue infer.cpu"] is Health.FAILED
    worker_stop(worker_id=worker.id)
    assert the_only(workers_check()).health is Health.FAILED


def test_a_web_that_does_not_answer_fails(settings: Settings) -> None:
    settings.BASE_URL = f"http://{NOWHERE}"
    assert the_only(web_check()).health is Health.FAILED


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on() -> None:
    def broken() -> Iterator[Finding]:
        raise OSError("the wire is cut\nwith a second line")
        yield

    def sound() -> Iterator[Finding]:
        yield good("b", "fine")

    first, second = examine({"a": broken, "b": sound})
    assert (first.about, first.health) == ("a", Health.FAILED)
    assert first.message == "cannot be examined: the wire is cut"
    assert second.health is Health.GOOD


def test_only_what_is_required_makes_ill() -> None:
    well = [good("a", ""), warning("b", "", ""), off("c", "")]
    assert healthy(well)
    assert not healthy([*well, failed("d", "", "")])
