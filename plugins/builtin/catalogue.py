"""The built-ins on disk: their manifests and modules, for the host to load like any other."""

from __future__ import annotations

from pathlib import Path

from plugins.sdk.manifest import FILE_NAME, Manifest, manifest_read


def builtins() -> tuple[tuple[Manifest, str], ...]:
    """Each manifest with the module that it speaks for."""
    return tuple(
        (manifest_read(path.read_text()), f"{__package__}.{path.parent.name}")
        for path in sorted(Path(__file__).parent.glob(f"*/{FILE_NAME}"))
    )
