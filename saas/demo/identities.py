"""The demo's people and organisations, kept in `$VAR/demo.json` for scripts that carry on from
there.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

ORGANISATIONS = {
    "customer": "Harbour Documentation",
    "rival": "Lantern Typography",
    "partner": "Tidewater Consulting",
    "subscriber": "Sextant Surveys",
    "client": "Bearing Cartography",
    "operator": "Breakwater",
}


class DemoFailed(Exception):
    """A step of the demo did not do what it must; the message says which and why."""


@dataclass
class Identity:
    """`api_key` is the secret itself: the file is readable by its owner only."""

    tenant: str
    email: str
    password: str
    api_key: str


@dataclass
class DemoFile:
    base_url: str
    openai_base_url: str
    base_model: str = ""
    fine_tuned_models: list[str] = field(default_factory=list)
    compressed_model: str | None = None
    campaign: str | None = None
    identities: dict[str, Identity] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically, owner-only."""
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(asdict(self), stream, indent=2)
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> DemoFile | None:
        """Return what an earlier demo left, or None."""
        if not path.is_file():
            return None
        data: dict[str, Any] = json.loads(path.read_text())
        identities = {name: Identity(**kept) for name, kept in data.pop("identities", {}).items()}
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        return cls(**known, identities=identities)


def identity_works(base_url: str, identity: Identity) -> bool:
    """Whether a kept key still opens the API (the database may have been thrown away since)."""
    answer = httpx.get(
        f"{base_url}/v1/models", headers={"Authorization": f"Bearer {identity.api_key}"}, timeout=30
    )
    return answer.status_code == 200


def sign_up(base_url: str, role: str) -> Identity:
    """Sign an organisation up over HTTP, as a newcomer would. Raises DemoFailed."""
    email = f"{role}-{secrets.token_hex(3)}@demo.invalid"
    password = secrets.token_urlsafe(15)
    body = {
        "organisation": ORGANISATIONS[role],
        "email": email,
        "password": password,
        "is_partner": role == "partner",
    }
    answer = httpx.post(f"{base_url}/v1/sign_up", json=body, timeout=30)
    if answer.status_code not in {200, 201}:
        raise DemoFailed(f"signing up {ORGANISATIONS[role]} failed: {answer.text}")
    made = answer.json()
    return Identity(
        tenant=made["tenant"]["id"],
        email=email,
        password=password,
        api_key=made["api_key"]["secret"],
    )
