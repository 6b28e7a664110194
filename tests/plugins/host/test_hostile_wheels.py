"""Wheels that lie about themselves: each is refused with a reason, and none reaches past its own.

What stands here is read in our own process, before any sandbox.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from plugins.host.catalog import Catalog, catalog_make, discover
from plugins.host.environments import wheel_install
from plugins.host.errors import CallFailed, WheelRefused
from plugins.host.settings import schema_wrong, settings_wrong
from plugins.sdk.codec import from_json
from plugins.sdk.contracts import Panel, StepResult
from plugins.sdk.errors import ContractError, ManifestError
from plugins.sdk.manifest import manifest_read
from tests.plugins.wheels import manifest, wheel_make

INFO = "evil-1.0.dist-info"


def wheel_with(folder: Path, members: Mapping[str, bytes]) -> Path:
    """A good wheel with some of its members replaced, and others put beside them."""
    good = wheel_make(folder, "evil", "")
    with zipfile.ZipFile(good) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(good, "w") as archive:
        for name, content in {**files, **members}.items():
            archive.writestr(name, content)
    return good


def catalog_of(folder: Path, members: Mapping[str, bytes]) -> Catalog:
    """What is read of its metadata; unpacked without an installer, which has checks of its own."""
    site = folder / "site"
    with zipfile.ZipFile(wheel_with(folder, members)) as archive:
        archive.extractall(site)
    return catalog_make(discover(site, "isolated"), platform_version="0.1.0", provided={})


def needing(line: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\nRequires-Dist: {line}\n".encode()


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("evil/plugin.toml", b"\xff\xfe", "codec"),
        ("evil/plugin.toml", b"a = " + b"[" * 100_000, "nested too deeply"),
        ("evil/plugin.toml", b"a = " + b"9" * 10_000, "4300 digits"),
        ("evil/plugin.toml", manifest("evil", "1.0+" + "a" * 60).encode(),
         "at most 40 characters"),
        ("evil/plugin.toml", manifest("evil", least_platform='"０.１"').encode(), "such as 1.4"),
        ("evil/plugin.toml", manifest("evil", least_platform=f'"{"9" * 5000}"').encode(),
         "such as 1.4"),
        ("evil/plugin.toml", manifest("evil", author='"a\\u0000b"').encode(), "is no text"),
        ("evil/plugin.toml", manifest("evil", settings="{ default = 1979-05-27 }").encode(),
         "settings.default"),
        ("evil/plugin.toml", manifest("evil", settings="{ default = inf }").encode(),
         "settings.default"),
        ("evil/plugin.toml", manifest("еvil").encode(), "not lower_case"),  # a Cyrillic е
        (f"{INFO}/entry_points.txt", b"[breakwater.plugins]\nevil = !!!\n", "names no module"),
        (f"{INFO}/entry_points.txt", b"[breakwater.plugins]\nevil = os\n", "no os/plugin.toml"),
        (f"{INFO}/METADATA", needing("numpy; nonsense == '1'"), "marker variable"),
    ],
)  # fmt: skip
def test_what_it_says_of_itself_is_refused_with_the_reason(
    tmp_path: Path, member: str, content: bytes, said: str
) -> None:
    catalog = catalog_of(tmp_path, {member: content})
    assert catalog.plugins == ()
    (refused,) = catalog.refused
    assert (refused.name, said in refused.reason) == ("evil", True), refused.reason


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("evil-1.0.data/purelib/plugins/sdk.py", b"", "the platform's own place"),
        ("./plugins/__init__.py", b"", "the platform's own place"),
        ("evil-1.0.data/purelib/z-1.dist-info/METADATA", b"Foo: bar\n", "tells of 2 packages"),
        ("evil-1.0.data/purelib/run.pth", b"import os\n", "at every start"),
        ("../../../../outside.txt", b"", "outside the target"),
        ("evil-1.0.data/data/../../../outside.txt", b"", "Unexpected file"),
    ],
)  # fmt: skip
def test_what_it_puts_elsewhere_is_refused_and_nothing_stays(
    tmp_path: Path, member: str, content: bytes, said: str
) -> None:
    with pytest.raises(WheelRefused, match=said):
        wheel_install(wheel_with(tmp_path, {member: content}), tmp_path / "site")
    assert not (tmp_path / "site").exists()
    assert not list(tmp_path.parent.glob("**/outside.txt"))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = wheel_make(tmp_path, "evil", "")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        block = b"\0" * 2**24
        with archive.open("evil/zeros", "w", force_zip64=True) as zeros:
            for _ in range(65):
                zeros.write(block)
    assert bomb.stat().st_size < 2 * 2**20
    with pytest.raises(WheelRefused, match="at most 20,000 of"):
        wheel_install(bomb, tmp_path / "site")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and what was asked of it."""
    paths: list[str] = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "string"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Inside)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret", paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_settings_schema_makes_us_open_no_address(asked: tuple[str, list[str]]) -> None:
    url, paths = asked
    schema = f'{{ type = "object", properties.a = {{ "$ref" = "{url}" }} }}'
    read = manifest_read(manifest("evil", settings=schema))
    assert "cannot be used" in str(settings_wrong(read, {"a": 5}))
    assert paths == []
    assert "refers to" in str(schema_wrong(read.settings))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "nonsense"}, "no JSON Schema"),
        ({"properties": [1]}, "no JSON Schema"),
        ({"properties": {"a": {"pattern": "(("}}}, "no JSON Schema"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "may run for hours"),
        ({"patternProperties": {"(a+)+$": {}}}, "may run for hours"),
        ({"$ref": "file:///etc/hostname"}, "refers to 'file:"),
    ],
)
def test_a_schema_that_cannot_be_used_is_named_and_raises_nothing(
    schema: dict[str, object], said: str
) -> None:
    assert said in str(schema_wrong(schema))


def test_a_good_schema_may_refer_to_itself_and_name_a_setting_pattern() -> None:
    good = {
        "type": "object",
        "$defs": {"share": {"type": "number", "maximum": 1}},
        "properties": {"pattern": {"type": "string"}, "least": {"$ref": "#/$defs/share"}},
    }
    assert schema_wrong(good) is None


def test_a_schema_that_goes_in_circles_refuses_settings() -> None:
    schema = '{ type = "object", properties.a = { "$ref" = "#/properties/a" } }'
    read = manifest_read(manifest("evil", settings=schema))
    assert "cannot be used" in str(settings_wrong(read, {"a": 5}))


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_text_that_no_database_keeps_is_the_plugins_failure(text: str) -> None:
    with pytest.raises(ContractError):  # of several kinds, it is none
        from_json(StepResult, {"figures": {"score": text}})
    with pytest.raises(ContractError, match="is no text"):
        from_json(StepResult, {"figures": {text: 1}})
    panel = {"name": "a", "title": text, "columns": [], "rows": []}
    with pytest.raises(ContractError, match="is no text"):
        from_json(Panel, panel)
    kept = CallFailed("raised", text).failure.message
    assert kept == "a?b"


def test_a_manifest_refuses_text_that_is_none() -> None:
    with pytest.raises(ManifestError, match="is no text"):
        manifest_read(manifest("evil", settings='{ title = "a\\u0000" }'))
