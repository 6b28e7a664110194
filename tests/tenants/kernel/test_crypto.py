"""Sealed streams and wrapped keys."""

from __future__ import annotations

import base64
import io
import itertools
import os
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.kernel.crypto import (
    CHUNK,
    MAGIC,
    DecryptionError,
    LocalKeyRing,
    data_key_destroy,
    data_keys_rewrap,
    decrypt,
    encrypt,
    tenant_data_key,
)
from tenants.kernel.errors import NotFound
from tenants.kernel.models import DataKey
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tests.tenants.accounts.factories import tenant_make

KEY = bytes(range(32))
HEADER = len(MAGIC) + 32
SEALED_CHUNK = CHUNK + 16
# sizes around the chunk's border, where truncation and the last-chunk flag matter
SIZES = st.sampled_from([0, 1, 15, 16, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])


def sealed(plain: bytes, key: bytes = KEY) -> bytes:
    return b"".join(encrypt([plain], key))


def opened(data: bytes, key: bytes = KEY) -> bytes:
    return b"".join(decrypt(io.BytesIO(data), key))


@settings(max_examples=40, deadline=None)
@given(size=SIZES, cuts=st.lists(st.integers(0, 2 * CHUNK + 5), max_size=5))
def test_what_goes_in_comes_out_however_it_is_cut(size: int, cuts: list[int]) -> None:
    plain = os.urandom(size)
    borders = sorted({0, size, *(cut for cut in cuts if cut < size)})
    pieces = [plain[a:b] for a, b in itertools.pairwise(borders)] + [b""]

    assert opened(b"".join(encrypt(pieces, KEY))) == plain


def test_the_format_is_what_the_documentation_says() -> None:
    """Read independently: HKDF over the salt; a GCM message per chunk, counter and last flag."""
    plain = os.urandom(CHUNK + 7)
    data = sealed(plain)
    salt, body = data[len(MAGIC) : HEADER], data[HEADER:]
    cipher = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=MAGIC).derive(KEY))

    first = cipher.decrypt(bytes(11) + b"\x00", body[:SEALED_CHUNK], None)
    last = cipher.decrypt(bytes(10) + b"\x01\x01", body[SEALED_CHUNK:], None)

    assert data[:4] == b"BWE1"
    assert first + last == plain


@settings(max_examples=60, deadline=None)
@given(size=SIZES, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(size: int, where: float, bit: int) -> None:
    data = bytearray(sealed(bytes(size)))
    data[int(where * len(data))] ^= 1 << bit

    with pytest.raises(DecryptionError):
        opened(bytes(data))


@settings(max_examples=60, deadline=None)
@given(size=SIZES, where=st.floats(0, 1, exclude_max=True))
def test_a_stream_cut_short_anywhere_is_refused(size: int, where: float) -> None:
    data = sealed(bytes(size))

    with pytest.raises(DecryptionError):
        opened(data[: int(where * len(data))])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda h, c: h + c[1] + c[0] + c[2], id="chunks swapped"),
        pytest.param(lambda h, c: h + c[0] + c[2], id="chunk left out"),
        pytest.param(lambda h, c: h + c[0] + c[1], id="last chunk left out"),
        pytest.param(lambda h, c: h + c[0] + c[0] + c[1] + c[2], id="chunk repeated"),
        pytest.param(lambda h, c: h + c[0] + c[1] + c[2] + c[2], id="last chunk repeated"),
        pytest.param(lambda h, c: h + c[0] + c[1] + c[2] + b"\x00", id="a byte added"),
    ],
)
def test_moved_chunks_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    data = sealed(os.urandom(2 * CHUNK + 100))
    body = data[HEADER:]
    chunks = [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]

    with pytest.raises(DecryptionError):
        opened(damage(data[:HEADER], chunks))


def test_a_chunk_of_another_stream_of_the_same_key_is_refused() -> None:
    one, two = sealed(bytes(2 * CHUNK)), sealed(bytes(2 * CHUNK))
    mixed = one[: HEADER + SEALED_CHUNK] + two[HEADER + SEALED_CHUNK :]

    with pytest.raises(DecryptionError):
        opened(mixed)


def test_an_altered_chunk_is_never_handed_out() -> None:
    data = bytearray(sealed(bytes(3 * CHUNK)))
    data[HEADER + SEALED_CHUNK + 5] ^= 1
    pieces: Iterator[bytes] = decrypt(io.BytesIO(bytes(data)), KEY)

    assert next(pieces) == bytes(CHUNK)
    with pytest.raises(DecryptionError, match="chunk 1"):
        next(pieces)


def test_another_key_is_refused() -> None:
    with pytest.raises(DecryptionError):
        opened(sealed(b"secret"), os.urandom(32))


def test_equal_plaintexts_never_look_equal() -> None:
    assert sealed(b"same") != sealed(b"same")


def test_sealing_holds_one_chunk_at_a_time() -> None:
    """64 MiB pass while the generator keeps to its pace: one chunk in, one chunk out."""
    asked = 0

    def source() -> Iterator[bytes]:
        nonlocal asked
        for _ in range(1024):
            asked += 1
            yield bytes(CHUNK)

    stream = encrypt(source(), KEY)
    next(stream)
    next(stream)

    assert asked <= 2


def ring(**keys: int) -> LocalKeyRing:
    return LocalKeyRing({name: bytes([fill]) * 32 for name, fill in keys.items()})


def setting(**keys: int) -> str:
    pairs = [
        f"{name}:{base64.b64encode(bytes([fill]) * 32).decode()}" for name, fill in keys.items()
    ]
    return ",".join(pairs)


def test_a_wrapped_key_opens_under_its_own_kek_and_context_only() -> None:
    kek_id, wrapped = ring(k1=1).wrap(KEY, b"ten_a")

    assert kek_id == "k1"
    assert ring(k2=2, k1=1).unwrap("k1", wrapped, b"ten_a") == KEY
    with pytest.raises(DecryptionError):
        ring(k1=1).unwrap("k1", wrapped, b"ten_b")
    with pytest.raises(DecryptionError):
        ring(k1=9).unwrap("k1", wrapped, b"ten_a")
    with pytest.raises(DecryptionError, match="not in KEY_ENCRYPTION_KEYS"):
        ring(k2=2).unwrap("k1", wrapped, b"ten_a")


@pytest.mark.parametrize(
    "value", ["", "k1", "k1:", "k1:###", "k1:" + base64.b64encode(b"x").decode()]
)
def test_a_bad_setting_says_what_to_set(value: str) -> None:
    with pytest.raises(ValueError, match="KEY_ENCRYPTION_KEYS"):
        LocalKeyRing.from_setting(value)


@pytest.mark.django_db
def test_keys_are_wrapped_anew_under_the_current_kek_and_open_the_same_data() -> None:
    with override_settings(KEY_ENCRYPTION_KEYS=setting(old=1)):
        tenant = tenant_make(has_credit=False).tenant
        with tenant_scope(tenant.id):
            before = tenant_data_key(tenant.id)
    with override_settings(KEY_ENCRYPTION_KEYS=setting(new=2, old=1)), system_scope():
        changed = data_keys_rewrap()
        again = data_keys_rewrap()
    with override_settings(KEY_ENCRYPTION_KEYS=setting(new=2)), tenant_scope(tenant.id):
        after = tenant_data_key(tenant.id)

    assert (changed, again) == (1, 0)
    assert after == before


@pytest.mark.django_db
def test_a_destroyed_key_erases_and_stays_destroyed() -> None:
    tenant, other = tenant_make().tenant, tenant_make("Other").tenant

    with system_scope():
        assert data_key_destroy(tenant_id=tenant.id) == 1
        assert data_key_destroy(tenant_id=tenant.id) == 0
        data_keys_rewrap()
        row = DataKey.objects.get(tenant_id=tenant.id)
        assert row.wrapped is None
        assert row.destroyed_at is not None
    with tenant_scope(tenant.id), pytest.raises(NotFound) as refused:
        tenant_data_key(tenant.id)
    assert refused.value.code == "data_erased"
    with tenant_scope(other.id):
        assert len(tenant_data_key(other.id)) == 32


@pytest.mark.django_db
def test_no_scope_and_no_other_tenant_reaches_a_data_key() -> None:
    tenant, other = tenant_make().tenant, tenant_make("Other").tenant

    with pytest.raises(ScopeError):
        tenant_data_key(tenant.id)
    with tenant_scope(other.id), pytest.raises(NotFound):
        tenant_data_key(tenant.id)
