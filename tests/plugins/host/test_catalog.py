"""Discovery reads metadata only; what is unfit is refused with its reason, and the rest stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.host import environments
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import wheel_install
from plugins.host.errors import WheelRefused
from tests.plugins.wheels import manifest, wheel_make


def found(tmp_path: Path, name: str, **more: object) -> list[object]:
    wheel = wheel_make(tmp_path, name, more.pop("code", ""), **more)  # type: ignore[arg-type]
    wheel_install(wheel, tmp_path / name)
    return list(discover(tmp_path / name, "isolated"))


def test_installing_and_discovering_run_none_of_its_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (plugin,) = found(tmp_path, "writes", code=f"open({str(mark)!r}, 'w').close()")
    assert isinstance(plugin, Plugin)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"toml": manifest("bad", least_platform='"9"')}, "needs platform 9"),
        ({"toml": manifest("bad", greatest_platform='"0.0"')}, "up to 0.0"),
        ({"toml": manifest("bad", "2.0")}, "the wheel 1.0"),
        ({"toml": manifest("bad", licence='""')}, "licence is empty"),
        ({"requires": ("not-there>=1",)}, "not-there"),
    ],
)
def test_what_is_unfit_is_refused_and_the_rest_stays(
    tmp_path: Path, more: dict[str, object], reason: str
) -> None:
    both = [*found(tmp_path, "bad", **more), *found(tmp_path, "good")]
    catalog = catalog_make(both, platform_version="0.1.0")  # type: ignore[arg-type]
    assert [plugin.name for plugin in catalog.plugins] == ["good"]
    assert reason in catalog.refused[0].reason


def test_a_conflict_refuses_the_later(tmp_path: Path) -> None:
    both = [
        *found(tmp_path, "b", toml=manifest("bb", conflicts='["aa"]')),
        *found(tmp_path, "aa"),
        *found(tmp_path, "bb", toml=manifest("bb", conflicts='["aa"]')),
    ]
    catalog = catalog_make(both, platform_version="0.1.0")  # type: ignore[arg-type]
    assert [plugin.name for plugin in catalog.plugins] == ["aa"]
    assert any("in conflict with aa" in each.reason for each in catalog.refused)


@pytest.mark.parametrize("most", ["MOST_UNPACKED", "MOST_FILES"])
def test_a_wheel_that_would_fill_the_disk_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    wheel = wheel_make(tmp_path, "large", "x = 0\n" * 10_000)
    monkeypatch.setattr(environments, most, 4)
    with pytest.raises(WheelRefused, match=r"6 files of 60,[\d,]+ bytes; at most"):
        wheel_install(wheel, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_only_wheels_are_installed(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"")
    with pytest.raises(WheelRefused, match="only wheels"):
        wheel_install(tmp_path / "x.tar.gz", tmp_path / "x")
    wheel = wheel_make(tmp_path, "sly", "", more={"sly.pth": "import os"})
    with pytest.raises(WheelRefused, match=r"\.pth"):
        wheel_install(wheel, tmp_path / "sly")
