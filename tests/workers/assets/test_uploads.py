"""Uploads in parts: ordered on completion, checked against the promise, nothing left behind."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
from django.test import override_settings

from tenants.accounts.services import SignedUp
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, TooLarge
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.workers.assets.factories import GOOD
from tests.workers.assets.test_files import at_once, read, stored_objects
from workers.assets.models import File, Upload, UploadPart
from workers.assets.retention import parts_purge, uploads_expire
from workers.assets.selectors import upload_get
from workers.assets.services import (
    upload_cancel,
    upload_complete,
    upload_create,
    upload_part_add,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage_dir")]

PARTS = [GOOD[:100], GOOD[100:101], GOOD[101:]]


def begin(tenant: SignedUp, size: int = len(GOOD), **fields: Any) -> Upload:
    given = {"filename": "big.jsonl", "purpose": "fine-tune", **fields}
    with tenant_scope(tenant.tenant.id):
        return upload_create(actor=owner_of(tenant), bytes=size, **given)


def add(tenant: SignedUp, upload: Upload, content: bytes) -> str:
    with tenant_scope(tenant.tenant.id):
        part = upload_part_add(actor=owner_of(tenant), upload_id=upload.id, chunks=[content])
    return str(part.id)


def complete(tenant: SignedUp, upload: Upload, part_ids: list[str], md5: str = "") -> Upload:
    with tenant_scope(tenant.tenant.id):
        return upload_complete(
            actor=owner_of(tenant), upload_id=upload.id, part_ids=part_ids, md5=md5
        )


@pytest.fixture
def tenant() -> SignedUp:
    return tenant_make()


def test_parts_make_the_file_in_the_order_said_not_in_the_order_sent(tenant: SignedUp) -> None:
    upload = begin(tenant)
    third, first, second = (add(tenant, upload, PARTS[n]) for n in (2, 0, 1))

    done = complete(tenant, upload, [first, second, third], hashlib.md5(GOOD).hexdigest().upper())

    assert done.status == Upload.Status.COMPLETED
    assert done.file is not None
    assert (done.file.filename, done.file.bytes) == ("big.jsonl", len(GOOD))
    assert read(done.file) == GOOD
    assert parts_purge() == 3
    assert len(stored_objects()) == 1


def test_a_part_sent_twice_is_left_out_by_not_naming_it(tenant: SignedUp) -> None:
    upload = begin(tenant)
    first, _, second = (add(tenant, upload, c) for c in (GOOD[:50], GOOD[:50], GOOD[50:]))

    assert read(complete(tenant, upload, [first, second]).file) == GOOD  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "param"),
    [
        ([], "part_ids"),
        ([0], "part_ids"),
        ([0, 1, 2, 2], "part_ids"),
        (["part_unknown"], "part_ids"),
        ([1, 0, 2], "file"),  # right bytes, wrong order: no UTF-8 or no promise kept
    ],
)
def test_a_completion_that_is_wrong_leaves_the_upload_open(
    named: list[Any], param: str, tenant: SignedUp
) -> None:
    content = '{"text": "é"}'.encode()
    border = content.index("é".encode()) + 1
    upload = begin(tenant, len(content))
    ids = [
        add(tenant, upload, part) for part in (content[:border], content[border:-1], content[-1:])
    ]

    with pytest.raises(InvalidInput) as refused:
        complete(tenant, upload, [ids[n] if isinstance(n, int) else n for n in named])

    assert refused.value.param == param
    done = complete(tenant, upload, ids)
    assert read(done.file) == content  # type: ignore[arg-type]


def test_a_wrong_checksum_leaves_the_upload_open_and_no_object(tenant: SignedUp) -> None:
    upload = begin(tenant)
    ids = [add(tenant, upload, part) for part in PARTS]

    with pytest.raises(InvalidInput) as refused:
        complete(tenant, upload, ids, "0" * 32)

    assert refused.value.code == "checksum_mismatch"
    assert len(stored_objects()) == 3
    complete(tenant, upload, ids)


def test_content_is_checked_as_for_any_file(tenant: SignedUp) -> None:
    pickled = b"\x80\x04" + bytes(20)
    upload = begin(tenant, len(pickled))
    part = add(tenant, upload, pickled)

    with pytest.raises(InvalidInput, match="pickle"):
        complete(tenant, upload, [part])
    with system_scope():
        assert not File.objects.exists()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"size": 0}, InvalidInput),
        ({"size": 10**12}, TooLarge),
        ({"filename": ".."}, InvalidInput),
        ({"purpose": "x"}, InvalidInput),
    ],
)
def test_a_promise_is_checked(
    fields: dict[str, Any], error: type[Exception], tenant: SignedUp
) -> None:
    with pytest.raises(error):
        begin(tenant, **fields)


def test_parts_are_bounded_one_by_one_and_together(tenant: SignedUp) -> None:
    upload = begin(tenant, 100)
    with override_settings(MAX_PART_BYTES=50):
        with pytest.raises(TooLarge):
            add(tenant, upload, bytes(51))
        with pytest.raises(InvalidInput):
            add(tenant, upload, b"")
        for _ in range(5):
            add(tenant, upload, bytes(50))
        with pytest.raises(TooLarge, match="promised"):
            add(tenant, upload, bytes(50))
    assert len(stored_objects()) == 5


@pytest.mark.parametrize("end", ["completed", "cancelled", "expired"])
def test_an_upload_that_has_ended_takes_nothing_more(end: str, tenant: SignedUp) -> None:
    upload = begin(tenant)
    ids = [add(tenant, upload, part) for part in PARTS]
    with tenant_scope(tenant.tenant.id):
        if end == "completed":
            upload_complete(actor=owner_of(tenant), upload_id=upload.id, part_ids=ids)
        if end == "cancelled":
            upload_cancel(actor=owner_of(tenant), upload_id=upload.id)
            upload_cancel(actor=owner_of(tenant), upload_id=upload.id)
        if end == "expired":
            Upload.objects.update(expires_at=now() - dt.timedelta(seconds=1))

    for late in (
        lambda: add(tenant, upload, b"x"),
        lambda: complete(tenant, upload, ids),
        *([lambda: cancel(tenant, upload)] if end == "completed" else []),
    ):
        with pytest.raises(Conflict, match=end):
            late()


def cancel(tenant: SignedUp, upload: Upload) -> None:
    with tenant_scope(tenant.tenant.id):
        upload_cancel(actor=owner_of(tenant), upload_id=upload.id)


def test_what_was_never_completed_goes_when_it_expires(tenant: SignedUp) -> None:
    old, young = begin(tenant), begin(tenant)
    add(tenant, old, b"x")
    add(tenant, young, b"x")
    with system_scope():
        Upload.objects.filter(pk=old.pk).update(expires_at=now() - dt.timedelta(seconds=1))

    assert (uploads_expire(), parts_purge()) == (1, 1)
    assert (uploads_expire(), parts_purge()) == (0, 0)
    with system_scope():
        assert Upload.objects.get(pk=old.pk).status == Upload.Status.EXPIRED
        assert list(UploadPart.objects.values_list("upload_id", flat=True)) == [young.id]
    assert len(stored_objects()) == 1


def test_two_completions_at_once_make_one_file(tenant: SignedUp) -> None:
    upload = begin(tenant)
    ids = [add(tenant, upload, part) for part in PARTS]
    refused: list[Exception] = []

    def finish() -> None:
        try:
            complete(tenant, upload, ids)
        except Conflict as error:
            refused.append(error)

    at_once(finish, finish)

    assert len(refused) == 1
    with system_scope():
        assert File.objects.count() == 1


def test_another_tenants_upload_is_not_there(tenant: SignedUp) -> None:
    upload = begin(tenant)
    thief = tenant_make("Thief")
    for act in (
        lambda: add(thief, upload, b"x"),
        lambda: complete(thief, upload, ["part_x"]),
        lambda: cancel(thief, upload),
    ):
        with pytest.raises(NotFound):
            act()
    with tenant_scope(thief.tenant.id), pytest.raises(NotFound):
        upload_get(upload.id)
    mine, theirs = begin(thief), add(tenant, upload, b"x")
    with pytest.raises(InvalidInput, match="no part of this upload"):
        complete(thief, mine, [theirs])
