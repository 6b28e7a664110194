"""The file `$VAR/env`: secrets made once, addresses, and where things lie.

The settings read it where the environment does not say otherwise. Only its owner may.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from saas.runtime.layout import Layout
from saas.runtime.ports import HOST, free_port, port_is_free

DATABASE = "breakwater"
DEFAULT_PORT = 8000
DATABASE_KEYS = {
    "DATABASE_URL": "breakwater_app",
    "DATABASE_OWNER_URL": "breakwater_owner",
    "DATABASE_SYSTEM_URL": "breakwater_system",
}


def env_read(path: Path) -> dict[str, str]:
    """Return the file's keys and values, nothing where there is no file."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key: value for key, equals, value in pairs if equals}


def secret_write(path: Path, text: str) -> None:
    """Write atomically, readable by the owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def env_write(path: Path, values: Mapping[str, str]) -> None:
    lines = ["# Written by `make up`; kept on every later start. Losing it loses the sealed data."]
    secret_write(path, "\n".join([*lines, *(f"{k}={v}" for k, v in values.items()), ""]))


def env_ensure(layout: Layout, *, port: int | None = None) -> dict[str, str]:
    """Fill in what `$VAR/env` lacks, keep what it has, and return it; `port` overrides the web's.

    Call it while nothing runs on this data folder: a store whose port somebody else took meanwhile
    moves to a free one.
    """
    values = env_read(layout.env_file)
    before = dict(values)
    values.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
    values.setdefault("KEY_ENCRYPTION_KEYS", f"k1:{_random_key()}")
    web = port or int(values.get("BREAKWATER_PORT", DEFAULT_PORT))
    values["BREAKWATER_PORT"] = str(web)
    values["BASE_URL"] = f"http://{HOST}:{web}"
    _stores(values, avoid=web)
    for key, folder in (
        ("STORAGE_DIR", "storage"),
        ("MODELS_DIR", "models"),
        ("SCRATCH_DIR", "scratch"),
    ):
        values[key] = str(layout.var / folder)
    values["EMBEDDED"] = "1"
    if values != before:
        env_write(layout.env_file, values)
    return values


def superuser_password(layout: Layout) -> str:
    """Return the embedded database superuser's password, made at the first call."""
    if not layout.superuser_file.is_file():
        secret_write(layout.superuser_file, secrets.token_urlsafe(24))
    return layout.superuser_file.read_text().strip()


def port_of(url: str) -> int:
    """The port in a store's address. Raises ValueError where it names none."""
    port = urlsplit(url).port
    if port is None:
        raise ValueError(f"no port in the address of {urlsplit(url).hostname}")
    return port


def _stores(values: dict[str, str], *, avoid: int) -> None:
    database = _kept_or_free(values.get("DATABASE_URL"), {avoid})
    redis = _kept_or_free(values.get("REDIS_URL"), {avoid, database})
    for key, role in DATABASE_KEYS.items():
        fresh = f"postgresql://{role}:{secrets.token_urlsafe(24)}@{HOST}:{database}/{DATABASE}"
        values[key] = _at_port(values.get(key, fresh), database)
    fresh = f"redis://:{secrets.token_urlsafe(24)}@{HOST}:{redis}/1"
    values["REDIS_URL"] = _at_port(values.get("REDIS_URL", fresh), redis)
    values["BROKER_URL"] = urlunsplit(urlsplit(values["REDIS_URL"])._replace(path="/0"))


def _kept_or_free(url: str | None, avoid: set[int]) -> int:
    if url is not None and port_is_free(port_of(url)):
        return port_of(url)
    return free_port(avoid=avoid)


def _at_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    account, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}@{HOST}:{port}"))


def _random_key() -> str:
    """A 32-byte AES key in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
