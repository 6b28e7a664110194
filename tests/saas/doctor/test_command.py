"""`manage.py doctor` as it is called, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saas.runtime.layout import ROOT, Layout
from saas.runtime.secrets import env_read, superuser_password
from tests.stores import Stores

pytestmark = pytest.mark.django_db


def doctor(layout: Layout, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "BREAKWATER_VAR": str(layout.var), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def report(process: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert process.returncode in {0, 1}, process.stderr
    document: dict[str, Any] = json.loads(process.stdout)
    return {found["about"]: found for found in document["findings"]} | {"": document["healthy"]}


def test_it_tells_all_as_json_and_exits_1_where_something_required_fails(
    layout: Layout, stores: Stores
) -> None:
    process = doctor(layout, "--json")
    found = report(process)
    assert (process.returncode, found[""]) == (1, False)  # no worker runs here, no web
    assert found["database roles"]["health"] == "good"
    assert found["row-level security"]["health"] == "good"
    assert found["engine"]["health"] in {"good", "warning"}
    assert found["Stripe"]["health"] == "off"
    assert all(f["todo"] for name, f in found.items() if name and f["health"] == "failed")


def test_an_app_that_connects_as_superuser_is_caught_and_no_secret_is_told(
    layout: Layout, stores: Stores
) -> None:
    process = doctor(layout, "--json", DATABASE_URL=stores.postgres.url(stores.roles.database))
    document = json.loads(process.stdout)
    roles_found = [f for f in document["findings"] if f["about"] == "database roles"]
    assert {f["health"] for f in roles_found} == {"failed"}
    assert any("is a superuser" in f["message"] for f in roles_found)
    roles = (stores.roles.app, stores.roles.owner, stores.roles.system)
    env = env_read(layout.env_file)
    secrets = [
        superuser_password(layout),
        *(role.password for role in roles),
        env["SECRET_KEY"],
        env["KEY_ENCRYPTION_KEYS"].split(":")[1],
    ]
    assert all(secrets)
    for secret in secrets:
        assert secret not in process.stdout + process.stderr


def test_without_any_installation_it_says_what_to_do(tmp_path: Path) -> None:
    addresses = dict.fromkeys(
        ("DATABASE_URL", "DATABASE_SYSTEM_URL", "DATABASE_OWNER_URL"),
        "postgresql://x:open-sesame@127.0.0.1:1/x",
    )
    process = doctor(Layout(tmp_path), **addresses)
    told = process.stdout + process.stderr
    assert process.returncode == 1
    assert "the role app cannot connect" in told
    assert "run: make up" in told
    assert "Traceback" not in told
    assert "sesame" not in told
