"""Envelope encryption: each tenant has a data key, wrapped by a key-encryption key (KEK).

Streams are cut into 64-KiB chunks, each sealed with AES-256-GCM under counter + last-chunk flag, so
that reordered, dropped or truncated chunks are refused (the STREAM construction,
https://eprint.iacr.org/2015/189). Each stream has a key of its own, derived from the data key and a
random salt: a tenant may seal any number of streams without a nonce ever coming twice under one key
(as in Tink's AES-GCM-HKDF streaming, https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming).
Layout: magic (4 bytes) | salt (32) | chunks of 64 KiB + 16-byte tag.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models.functions import Now

from tenants.kernel.errors import BreakwaterError, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.models import DataKey
from tenants.kernel.scope import required_scope

MAGIC = b"BWE1"
CHUNK = 64 * 1024
_SALT = 32
_TAG = 16


class DecryptionError(BreakwaterError):
    """The ciphertext was altered, cut short, or sealed under another key."""

    code = "decryption_failed"


class KeyManagement(Protocol):
    """What wraps data keys: a local key ring here, a cloud KMS elsewhere."""

    def wrap(self, key: bytes, context: bytes) -> tuple[str, bytes]:
        """Return (id of the current KEK, wrapped key)."""

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the key. Raises DecryptionError."""


class LocalKeyRing:
    """The KEKs of the setting KEY_ENCRYPTION_KEYS, of which the first is current.

    `id:base64[,id:base64]`, 32 bytes each.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("KEY_ENCRYPTION_KEYS is empty: set id:base64 of 32 random bytes")
        for name, key in keys.items():
            if len(key) != 32:
                raise ValueError(f"KEY_ENCRYPTION_KEYS: {name!r} has {len(key)} bytes, not 32")
        self._keys = dict(keys)
        self._current = next(iter(keys))

    @classmethod
    def from_setting(cls, value: str) -> LocalKeyRing:
        pairs = [item.strip().partition(":") for item in value.split(",") if item.strip()]
        try:
            return cls({name: base64.b64decode(key, validate=True) for name, _, key in pairs})
        except binascii.Error as error:
            raise ValueError("KEY_ENCRYPTION_KEYS: set id:base64 of 32 random bytes") from error

    @property
    def current(self) -> str:
        return self._current

    def wrap(self, key: bytes, context: bytes) -> tuple[str, bytes]:
        nonce = os.urandom(12)
        sealed = AESGCM(self._keys[self._current]).encrypt(nonce, key, context)
        return self._current, nonce + sealed

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        if kek_id not in self._keys:
            raise DecryptionError(f"key-encryption key {kek_id!r} is not in KEY_ENCRYPTION_KEYS")
        try:
            return AESGCM(self._keys[kek_id]).decrypt(wrapped[:12], wrapped[12:], context)
        except InvalidTag as error:
            raise DecryptionError(f"the data key cannot be opened with KEK {kek_id!r}") from error


def key_ring() -> LocalKeyRing:
    """The key ring of the settings. Raises ValueError where they are not usable."""
    return LocalKeyRing.from_setting(settings.KEY_ENCRYPTION_KEYS)


def data_key_create(*, tenant_id: str) -> DataKey:
    """Give a tenant a fresh data key."""
    kek_id, wrapped = key_ring().wrap(AESGCM.generate_key(256), tenant_id.encode())
    row: DataKey = DataKey.objects.create(
        id=new_id("dk_"), tenant_id=tenant_id, wrapped=wrapped, kek_id=kek_id
    )
    return row


def data_key_destroy(*, tenant_id: str) -> int:
    """Destroy a tenant's data keys: every copy of its content becomes noise. Returns how many."""
    count: int = DataKey.objects.filter(tenant_id=tenant_id, wrapped__isnull=False).update(
        wrapped=None, destroyed_at=Now()
    )
    return count


def data_keys_rewrap() -> int:
    """Wrap every tenant's data key anew under the current KEK (system scope).

    Returns how many changed.
    """
    ring = key_ring()
    stale = DataKey.objects.filter(wrapped__isnull=False).exclude(kek_id=ring.current)
    rows = list(stale.select_for_update())
    for row in rows:
        context = row.tenant_id.encode()
        plain = ring.unwrap(row.kek_id, bytes(row.wrapped), context)
        row.kek_id, row.wrapped = ring.wrap(plain, context)
        row.save(update_fields=["kek_id", "wrapped"])
    return len(rows)


def tenant_data_key(tenant_id: str) -> bytes:
    """Return the tenant's 32-byte data key.

    Raises NotFound where there is none or it was destroyed.
    """
    required_scope()
    row = DataKey.objects.filter(tenant_id=tenant_id).order_by("-created_at").first()
    if row is None or row.wrapped is None:
        raise NotFound("this tenant's data key does not exist or was destroyed", code="data_erased")
    return key_ring().unwrap(row.kek_id, bytes(row.wrapped), tenant_id.encode())


def encrypt(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    """Seal a stream of plaintext pieces of any size."""
    salt = os.urandom(_SALT)
    cipher = _stream_cipher(key, salt)
    yield MAGIC + salt
    counter, buffer = 0, bytearray()
    for piece in chunks:
        buffer += piece
        while len(buffer) > CHUNK:
            yield cipher.encrypt(_nonce(counter, last=False), bytes(buffer[:CHUNK]), None)
            del buffer[:CHUNK]
            counter += 1
    yield cipher.encrypt(_nonce(counter, last=True), bytes(buffer), None)


def decrypt(source: BinaryIO, key: bytes) -> Iterator[bytes]:
    """Open a sealed stream, chunk by chunk.

    Raises DecryptionError before any altered chunk is handed out.
    """
    header = source.read(len(MAGIC) + _SALT)
    if len(header) != len(MAGIC) + _SALT or header[: len(MAGIC)] != MAGIC:
        raise DecryptionError("not a sealed stream")
    cipher = _stream_cipher(key, header[len(MAGIC) :])
    counter, sealed = 0, source.read(CHUNK + _TAG)
    while True:
        following = source.read(CHUNK + _TAG) if len(sealed) == CHUNK + _TAG else b""
        try:
            yield cipher.decrypt(_nonce(counter, last=not following), sealed, None)
        except InvalidTag as error:
            raise DecryptionError(
                f"chunk {counter} was altered, cut short or sealed otherwise"
            ) from error
        if not following:
            return
        counter, sealed = counter + 1, following


def _stream_cipher(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=MAGIC).derive(key)
    return AESGCM(derived)


def _nonce(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + bytes([last])
