"""How the code reads: files' names and sizes, and the few calls that have one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.sources import (
    ROOT,
    imports_of,
    module_name,
    source_files,
    tree_of,
)

GRAB_BAGS = {"utils", "helpers", "common", "misc", "base"}
LONGEST_FILE = 400
LONGEST_SETTINGS = 80


def attribute_calls(name: str) -> Iterator[str]:
    """Where a method of that name is called: "module:line"."""
    for path in source_files():
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == name
            ):
                yield f"{module_name(path)}:{node.lineno}"


def test_no_file_is_a_grab_bag() -> None:
    assert [str(path) for path in source_files() if path.stem in GRAB_BAGS] == []


def test_no_file_is_two_files() -> None:
    lengths = {module_name(path): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_module_says_what_it_is_about() -> None:
    silent = [
        module_name(path)
        for path in source_files()
        if path.name not in {"__init__.py", "apps.py"} and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_settings_are_small_modules_that_read_the_environment_in_one_place() -> None:
    settings = [path for path in source_files() if path.parent == ROOT / "saas" / "settings"]
    assert len(settings) > 5
    for path in settings:
        assert len(path.read_text().splitlines()) <= LONGEST_SETTINGS, path.name
        if path.stem != "environment":
            assert "os" not in imports_of(path), f"{path.name} reads os.environ past environment.py"


def test_nobody_chooses_a_connection_by_hand() -> None:
    """`.using()` would step around the scope: the router follows it."""
    assert list(attribute_calls("using")) == []
