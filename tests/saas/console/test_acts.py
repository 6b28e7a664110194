"""Buttons: each calls its service, says what became of it, and leaves an audit row."""

from __future__ import annotations

import io
import tarfile

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile

from tenants.accounts.models import ApiKey, AuditEntry, Member
from tenants.accounts.roles import Role
from tenants.accounts.selectors import actor_by_api_key
from tenants.accounts.services import api_key_create, user_create
from tenants.kernel.errors import Unauthenticated
from tenants.kernel.scope import tenant_scope
from tests.saas.api.factories import Caller, chats, jsonl, version_make
from tests.saas.console.factories import PASSWORD, Person, colleague_of, job_make, members_of
from tests.tenants.partners.releases import enabled
from tests.tenants.partners.trusted import trusted_released
from workers.assets.models import BaseModel, Dataset, File, ModelVersion
from workers.jobs.models import Job
from workers.jobs.states import State
from workers.serving.models import Deployment

pytestmark = pytest.mark.django_db


def act(person: Person, name: str, pk: str, action: str, **sent: str) -> str:
    """Press a button and follow; returns the next page."""
    answer = person.client.post(f"/console/{name}/{pk}/do/{action}/", sent, follow=True)
    assert answer.status_code == 200, answer.content
    return str(answer.content.decode())


def upload(person: Person, content: bytes, name: str = "train.jsonl") -> File | None:
    person.post("/console/files/upload/", file=SimpleUploadedFile(name, content))
    with tenant_scope(person.tenant.id):
        found: File | None = File.objects.filter(deleted_at__isnull=True).last()
    return found


def audited(person: Person) -> list[str]:
    with tenant_scope(person.tenant.id):
        return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


@pytest.mark.parametrize(
    ("before", "action", "after", "entry"),
    [
        (State.RUNNING, "pause", State.PAUSING, "job.pause"),
        (State.QUEUED, "pause", State.PAUSED, "job.pause"),
        (State.PAUSED, "resume", State.QUEUED, "job.resume"),
        (State.RUNNING, "cancel", State.CANCELLING, "job.cancel"),
        (State.QUEUED, "cancel", State.CANCELLED, "job.cancel"),
    ],
)
def test_a_job_pauses_resumes_and_is_cancelled(
    owner: Person, before: State, action: str, after: State, entry: str
) -> None:
    job = job_make(owner, state=before)

    act(owner, "jobs/job", job.pk, action)

    with tenant_scope(owner.tenant.id):
        assert Job.objects.get().state == after
    assert entry in audited(owner)


@pytest.mark.parametrize("state", State)
def test_only_buttons_that_the_state_machine_allows_are_offered(
    owner: Person, state: State
) -> None:
    job = job_make(owner, state=state)

    page = owner.get(f"/console/jobs/job/{job.pk}/change/").content.decode()

    offered = {name for name in ("pause", "resume", "cancel") if f'data-act="{name}"' in page}
    assert (
        offered
        == {
            State.VALIDATING: {"cancel"},
            State.QUEUED: {"pause", "cancel"},
            State.RUNNING: {"pause", "cancel"},
            State.PAUSING: {"cancel"},
            State.PAUSED: {"resume", "cancel"},
            State.CANCELLING: set(),
            State.SUCCEEDED: set(),
            State.FAILED: set(),
            State.CANCELLED: set(),
        }[state]
    )


def test_an_act_that_comes_too_late_explains_itself(owner: Person) -> None:
    job = job_make(owner, state=State.SUCCEEDED)

    page = act(owner, "jobs/job", job.pk, "cancel")

    assert "cannot become" in page
    with tenant_scope(owner.tenant.id):
        assert Job.objects.get().state == State.SUCCEEDED


def test_a_new_keys_secret_is_shown_once_and_works(owner: Person) -> None:
    answer = owner.post("/console/accounts/apikey/create/", name="ci", role="developer")
    secret = answer.context["secret"]

    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["cache-control"]
    assert actor_by_api_key(secret).role == Role.DEVELOPER
    with tenant_scope(owner.tenant.id):
        key = ApiKey.objects.get()
    for url in ("/console/accounts/apikey/", f"/console/accounts/apikey/{key.pk}/change/"):
        assert secret not in owner.get(url).content.decode()


def test_a_key_is_revoked(owner: Person) -> None:
    with tenant_scope(owner.tenant.id):
        issued = api_key_create(actor=owner.actor, name="ci")

    act(owner, "accounts/apikey", issued.row.pk, "revoke")

    with pytest.raises(Unauthenticated, match="revoked"):
        actor_by_api_key(issued.secret)


def test_a_keys_successor_works_beside_it(owner: Person) -> None:
    with tenant_scope(owner.tenant.id):
        issued = api_key_create(actor=owner.actor, name="ci")

    answer = owner.post(f"/console/accounts/apikey/{issued.row.pk}/do/rotate/")

    assert actor_by_api_key(answer.context["secret"]).tenant_id == owner.tenant.id
    assert actor_by_api_key(issued.secret).tenant_id == owner.tenant.id


@pytest.mark.parametrize(
    ("sent", "reason"), [({"name": ""}, "1 to 120"), ({"role": "king"}, "king")]
)
def test_a_faulty_key_is_refused_in_words(owner: Person, sent: dict[str, str], reason: str) -> None:
    given = {"name": "ci", "role": "viewer", **sent}

    answer = owner.client.post("/console/accounts/apikey/create/", given, follow=True)

    assert any(reason in str(message) for message in get_messages(answer.wsgi_request))
    assert reason in answer.content.decode()


def test_the_playgrounds_key_can_infer_and_nothing_else_and_passes(owner: Person) -> None:
    developer = colleague_of(owner, Role.DEVELOPER)

    given = developer.post("/console/playground/key/").json()

    actor = actor_by_api_key(given["key"])
    assert actor.may == {"inference"}
    with tenant_scope(owner.tenant.id):
        key = ApiKey.objects.get()
        assert key.expires_at is not None
        assert 14 * 60 < (key.expires_at - key.created_at).total_seconds() <= 15 * 60 + 5
        ApiKey.objects.update(expires_at=key.created_at)
    assert key.pk not in owner.get("/console/accounts/apikey/").content.decode()


def test_the_playground_offers_what_writes_text(owner: Person, base: BaseModel) -> None:
    caller = Caller(None, tenant=owner.tenant)
    writes, sorts = version_make(caller, base.id, "writes"), version_make(caller, base.id, "sorts")
    with tenant_scope(owner.tenant.id):
        ModelVersion.objects.filter(pk=sorts.pk).update(spec={"task": "text_classification"})

    for page in ("playground", "jobs/job/start"):
        shown = owner.get(f"/console/{page}/").content.decode()
        assert writes.name in shown
        assert base.id in shown
        assert sorts.name not in shown


def test_members_are_added_given_roles_and_removed(owner: Person) -> None:
    user_create(email="new@example.com", password=PASSWORD)

    owner.post("/console/accounts/member/join/", email="new@example.com", role="viewer")
    newcomer = next(m for m in members_of(owner.tenant) if m.user.email == "new@example.com")
    act(owner, "accounts/member", newcomer.pk, "role", role="developer")
    changed = next(m for m in members_of(owner.tenant) if m.pk == newcomer.pk)
    act(owner, "accounts/member", newcomer.pk, "remove")

    assert (newcomer.role, changed.role) == ("viewer", "developer")
    assert [m.user_id for m in members_of(owner.tenant)] == [owner.user.pk]
    assert audited(owner)[-3:] == ["member.add", "member.set_role", "member.remove"]


def test_the_last_owner_stays(owner: Person) -> None:
    with tenant_scope(owner.tenant.id):
        member = Member.objects.get()

    page = act(owner, "accounts/member", member.pk, "remove")

    assert "at least one owner" in page
    assert len(members_of(owner.tenant)) == 1


def test_a_file_is_uploaded_looked_at_and_deleted(owner: Person) -> None:
    file = upload(owner, chats())
    assert file is not None

    page = owner.get(f"/console/assets/file/{file.pk}/change/").content.decode()
    act(owner, "assets/file", file.pk, "delete")

    assert "What follows 0?" in page
    assert owner.get(f"/console/assets/file/{file.pk}/change/").status_code == 404


def test_a_checked_file_tells_each_problem_with_its_line(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(3) + jsonl({"messages": [{"role": "king", "content": "x"}]}))
    assert file is not None

    page = act(owner, "assets/file", file.pk, "check")

    with tenant_scope(owner.tenant.id):
        (problem,) = Dataset.objects.get().problems
    assert problem["line"] == 4
    assert "king" in page


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8bgzip", b"\x80\x04\x95pickle"], ids=["empty", "gzip", "pickle"]
)
def test_files_that_are_no_examples_are_refused_in_words(owner: Person, content: bytes) -> None:
    sent = {"file": SimpleUploadedFile("train.jsonl", content)}

    answer = owner.client.post("/console/files/upload/", sent, follow=True)

    assert answer.status_code == 200
    assert [m for m in get_messages(answer.wsgi_request) if m.level_tag == "error"]
    with tenant_scope(owner.tenant.id):
        assert not File.objects.exists()


def test_a_model_is_downloaded_as_peft_deployed_slept_and_deleted(
    owner: Person, base: BaseModel
) -> None:
    version = version_make(Caller(None, owner.tenant, owner.actor))

    archive = owner.get(f"/console/models/{version.pk}/download/")
    with tarfile.open(fileobj=io.BytesIO(archive.getvalue())) as tar:
        names = tar.getnames()
    act(owner, "assets/modelversion", version.pk, "deploy")
    with tenant_scope(owner.tenant.id):
        deployment = Deployment.objects.get()
    act(owner, "serving/deployment", deployment.pk, "wake")
    act(owner, "serving/deployment", deployment.pk, "sleep")
    act(owner, "serving/deployment", deployment.pk, "delete")
    act(owner, "assets/modelversion", version.pk, "delete")

    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(names)
    assert audited(owner)[-5:] == [
        "deployment.create",
        "deployment.wake",
        "deployment.sleep",
        "deployment.delete",
        "model_version.delete",
    ]
    with tenant_scope(owner.tenant.id):
        assert ModelVersion.objects.get().deleted_at is not None


def test_a_fine_tune_starts_from_the_form(owner: Person, base: BaseModel) -> None:
    training, validation = upload(owner, chats(30)), upload(owner, chats(6), "held-out.jsonl")
    assert training is not None
    assert validation is not None

    sent = {
        "model": base.pk,
        "training_file": training.pk,
        "validation_file": validation.pk,
        "suffix": "tone",
        "method": "lora",
        "n_epochs": "2",
        "batch_size": "",
        "learning_rate_multiplier": "",
        "seed": "7",
    }

    quoted = owner.post("/console/jobs/job/start/", **sent)
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists(), "a quote starts nothing"
    quote_id = quoted.context["quote"]["id"]
    answer = owner.post("/console/jobs/job/start/", **sent, quote_id=quote_id)

    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    assert job.quote_id == quote_id
    assert answer.headers["location"] == f"/console/jobs/job/{job.pk}/change/"
    assert (job.state, job.created_by_id) == (State.QUEUED, owner.user.pk)
    assert job.spec["validation_file_id"] == validation.pk
    assert (job.spec["settings"]["epochs"], job.spec["settings"]["seed"]) == (2, 7)
    assert owner.get(answer.headers["location"]).status_code == 200


def test_what_a_plugin_changes_of_a_quote_is_said_before_the_yes(
    owner: Person, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "training_file": file.pk, "method": "lora", "n_epochs": "2"}
    trusted_released(monkeypatch, "adjusting", "tests.tenants.partners.adjusting", ("data.quotes",))
    enabled(owner.tenant.id, "adjusting")
    page = owner.post("/console/jobs/job/start/", **sent).content.decode()
    assert "by the plugin adjusting, in the prices above: Ten per cent off in March" in page


def test_settings_changed_after_the_quote_are_quoted_again(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "training_file": file.pk, "n_epochs": "1"}
    quote_id = owner.post("/console/jobs/job/start/", **sent).context["quote"]["id"]

    answer = owner.post("/console/jobs/job/start/", **sent | {"n_epochs": "9"}, quote_id=quote_id)

    assert answer.context["quote"]["id"] != quote_id
    assert "was made for other work" in answer.content.decode()
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [({"n_epochs": "0"}, "n_epochs"), ({"model": "gpt-9"}, "model"), ({"seed": "-1"}, "seed")],
)
def test_a_faulty_fine_tune_starts_nothing(
    owner: Person, base: BaseModel, change: dict[str, str], field: str
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "training_file": file.pk, "n_epochs": "1", **change}

    answer = owner.client.post("/console/jobs/job/start/", sent)

    assert field in answer.context["form"].errors
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()


def test_data_with_problems_starts_nothing_and_says_why(owner: Person, base: BaseModel) -> None:
    file = upload(owner, jsonl({"messages": [{"role": "king", "content": "x"}]}))
    assert file is not None

    answer = owner.client.post(
        "/console/jobs/job/start/", {"model": base.pk, "training_file": file.pk}
    )

    assert file.pk in answer.content.decode()
    assert any("cannot be used" in str(m) for m in get_messages(answer.wsgi_request))
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()
