"""Who may import whom, and what the long-lived processes never load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.architecture.sources import ROOT, imports_of, module_name, source_files

HEAVY = ("torch", "transformers", "peft", "sentence_transformers", "accelerate")

# Loaded by child processes only, which own the tensors.
CHILD_SIDE = {
    "workers.engine": "the engine itself; its torch-free parts are listed below",
    "workers.tasks.child": "the entry of a job's child process",
    "workers.tasks.engine_child": "what that child runs for a fine-tune or an evaluation",
    "workers.tasks.rank_child": "what each further process of such a job runs",
    "workers.tasks.serve_child": "what that child runs for a replica",
    "workers.serving.runtime": "the replica's own process",
    "plugins.examples": "wheels of partners, imported by a plugin's confined process",
}
TORCH_FREE_ENGINE = (
    "workers.engine.protocol",
    "workers.engine.specs",
    "workers.engine.profiles",
    "workers.engine.shapes",
)


def test_the_import_contracts_are_kept() -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS


def loads_after_importing(*modules: str) -> dict[str, list[str]]:
    """Import modules one by one in a fresh process; return which of them brought what is heavy."""
    script = f"""
import importlib, json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "saas.settings"
import django
django.setup()
found, heavy = {{}}, {HEAVY!r}
for name in {list(modules)!r}:
    before = {{h for h in heavy if h in sys.modules}}
    importlib.import_module(name)
    new = sorted({{h for h in heavy if h in sys.modules}} - before)
    if new:
        found[name] = new
print(json.dumps(found))
"""
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, list[str]] = json.loads(child.stdout.splitlines()[-1])
    return found


def test_web_and_workers_parents_load_neither_torch_nor_transformers() -> None:
    """CUDA does not survive a fork, and a web process has no gigabyte to spare."""
    modules = [
        name
        for name in map(module_name, source_files())
        if not any(name == side or name.startswith(f"{side}.") for side in CHILD_SIDE)
    ]
    assert "saas.asgi" in modules
    assert loads_after_importing(*modules, *TORCH_FREE_ENGINE) == {}


def test_this_test_would_notice() -> None:
    assert "torch" in loads_after_importing("torch")["torch"]


@pytest.mark.parametrize("name", ["pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"])
def test_nothing_that_unpickles_is_imported(name: str) -> None:
    guilty = [
        module_name(path)
        for path in source_files()
        if any(imported.split(".")[0] == name for imported in imports_of(path))
    ]
    assert guilty == []
