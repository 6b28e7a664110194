"""`STRIPE=local`: chosen once and kept, never with somebody's own key, and running as a service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import port_answers
from saas.runtime.secrets import env_ensure, env_read, port_of
from saas.runtime.stripe import KEPT, stripe_choice, stripe_ensure, stripe_service

READ = """
import json
from saas.settings.stripe import STRIPE_API_BASE, STRIPE_SECRET_KEY
print(json.dumps([STRIPE_SECRET_KEY, STRIPE_API_BASE]))
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "var")
    made.create()
    env_ensure(made)
    return made


def chosen(layout: Layout, choice: str) -> dict[str, str]:
    return stripe_ensure(layout, env_read(layout.env_file), choice)


def settings_read(layout: Layout, **env: str) -> list[str]:
    bare = {name: text for name, text in os.environ.items() if not name.startswith("STRIPE")}
    out = subprocess.run(
        [sys.executable, "-c", READ],
        env={**bare, **env, "BREAKWATER_VAR": str(layout.var)},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[str] = json.loads(out.stdout)
    return found


def test_the_choice_is_kept_until_it_is_taken_back(layout: Layout) -> None:
    local = chosen(layout, "local")
    assert set(KEPT) <= local.keys()
    assert local["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert chosen(layout, "") == local == env_read(layout.env_file)
    assert not set(KEPT) & chosen(layout, "off").keys()
    assert not set(KEPT) & env_read(layout.env_file).keys()
    assert stripe_service(chosen(layout, ""), layout.var) is None


def test_other_words_and_a_key_beside_are_refused() -> None:
    with pytest.raises(RuntimeFailure, match="STRIPE=live is neither local"):
        stripe_choice({"STRIPE": "live"})
    with pytest.raises(RuntimeFailure, match="STRIPE_SECRET_KEY is set too"):
        stripe_choice({"STRIPE": "local", "STRIPE_SECRET_KEY": "sk_test_mine"})


def test_a_key_of_ones_own_ends_the_local_server_and_never_goes_to_it(layout: Layout) -> None:
    local = chosen(layout, "local")
    assert settings_read(layout) == [local["STRIPE_SECRET_KEY"], local["STRIPE_API_BASE"]]
    mine = {"STRIPE_SECRET_KEY": "sk_test_mine"}
    assert settings_read(layout, **mine) == ["sk_test_mine", ""]
    assert stripe_choice(mine) == "off"


def test_the_service_listens_where_the_settings_say(layout: Layout) -> None:
    settings = chosen(layout, "local")
    service = stripe_service(settings, layout.var)
    assert service is not None
    process = subprocess.Popen(service.command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on {settings['STRIPE_API_BASE']}\n"
        assert port_answers(port_of(settings["STRIPE_API_BASE"]))
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
