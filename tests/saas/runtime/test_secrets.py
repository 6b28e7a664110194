"""`$VAR/env`: made once, kept, private, and read by the settings as it was written."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import HOST
from saas.runtime.secrets import env_ensure, env_read, port_of, superuser_password
from tests.saas.runtime.factories import folder_mode

SETTINGS = """
import json
from saas.settings import DATABASES, KEY_ENCRYPTION_KEYS, BROKER_URL, SECRET_KEY
databases = {alias: [d["USER"], d["PASSWORD"], d["PORT"]] for alias, d in DATABASES.items()}
print(json.dumps([SECRET_KEY, KEY_ENCRYPTION_KEYS, BROKER_URL, databases]))
"""


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "var")
    layout.create()
    env_ensure(layout)
    return layout


def test_is_made_once_and_kept(made: Layout) -> None:
    first, password = made.env_file.read_text(), superuser_password(made)

    env_ensure(made)

    assert made.env_file.read_text() == first
    assert superuser_password(made) == password


def test_only_its_owner_reads_it(made: Layout) -> None:
    superuser_password(made)
    assert folder_mode(made.env_file) == 0o600
    assert folder_mode(made.superuser_file) == 0o600


def test_two_data_folders_share_no_secret_and_no_port(made: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.create()
    mine, theirs = env_read(made.env_file), env_ensure(other)
    same = {key for key in mine if mine[key] == theirs[key]}
    assert same == {"BREAKWATER_PORT", "BASE_URL", "EMBEDDED"}


def test_key_encryption_keys_are_32_random_bytes(made: Layout) -> None:
    name, _, key = env_read(made.env_file)["KEY_ENCRYPTION_KEYS"].partition(":")
    assert name == "k1"
    assert len(base64.b64decode(key, validate=True)) == 32


def test_the_port_asked_for_is_kept_for_the_next_start(made: Layout) -> None:
    env_ensure(made, port=8123)
    values = env_ensure(made)
    assert values["BREAKWATER_PORT"] == "8123"
    assert values["BASE_URL"] == f"http://{HOST}:8123"


def test_a_taken_store_port_moves_all_of_its_addresses_and_no_password(made: Layout) -> None:
    before = env_read(made.env_file)
    taken = port_of(before["DATABASE_URL"])
    with socket.socket() as other:
        other.bind((HOST, taken))
        other.listen()
        after = env_ensure(made)
    keys = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_SYSTEM_URL")
    assert len({port_of(after[key]) for key in keys} | {taken}) == 2
    for key in keys:
        assert urlsplit(after[key]).username == urlsplit(before[key]).username
        assert urlsplit(after[key]).password == urlsplit(before[key]).password
    assert after["REDIS_URL"] == before["REDIS_URL"]


def test_what_a_person_added_stays(made: Layout) -> None:
    with made.env_file.open("a") as stream:
        stream.write("# mine\nLEASE_S=5\n")
    env_ensure(made, port=8124)
    assert env_read(made.env_file)["LEASE_S"] == "5"


def test_the_settings_read_what_was_written(made: Layout) -> None:
    own = {"PATH": os.environ["PATH"], "BREAKWATER_VAR": str(made.var)}
    own["DJANGO_SETTINGS_MODULE"] = "saas.settings"
    command = [sys.executable, "-c", SETTINGS]
    said = subprocess.run(command, env=own, cwd=ROOT, capture_output=True, text=True, check=True)
    values = env_read(made.env_file)
    secret, keys, broker, databases = json.loads(said.stdout)
    assert [secret, keys, broker] == [
        values["SECRET_KEY"],
        values["KEY_ENCRYPTION_KEYS"],
        values["BROKER_URL"],
    ]
    addresses = {"default": "DATABASE_URL", "owner": "DATABASE_OWNER_URL"}
    for alias, key in {**addresses, "system": "DATABASE_SYSTEM_URL"}.items():
        parts = urlsplit(values[key])
        assert databases[alias] == [parts.username, parts.password, str(parts.port)]
