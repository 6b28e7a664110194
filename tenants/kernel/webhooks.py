"""Outgoing webhooks: one signed message, to an address that may be called.

Signed as https://www.standardwebhooks.com says, with `webhook-id`, `webhook-timestamp` and
`webhook-signature`. Who keeps messages and tries again is each app's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpx
from standardwebhooks import Webhook

from tenants.kernel.errors import InvalidInput

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)  # as the standard asks
ANSWER_S = 15.0  # from the connection to the answer's head, in all
PORTS = range(1, 65536)
AGENT = "Breakwater-Webhooks"
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last four bytes


@dataclass(frozen=True)
class Endpoint:
    """Where messages go, and what signs them. `private`: private addresses and http are allowed."""

    url: str
    secret: str = field(repr=False)
    private: bool = False


class NotDelivered(Exception):
    """It did not get there, or was not accepted. `gone`: its receiver wants no more (410)."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


def endpoint_check(endpoint: Endpoint) -> None:
    """Whether it could be used, without calling it. Raises InvalidInput that says what is wrong."""
    _url(endpoint)
    text = endpoint.secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or what is not ASCII
        key = b""
    if not endpoint.secret.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise InvalidInput(
            f"the secret is {PREFIX} and the base64 of {SECRET_BYTES.start} to "
            f"{SECRET_BYTES.stop - 1} random bytes: "
            f"python -c \"import base64,os;print('{PREFIX}'+base64.b64encode(os.urandom(32))"
            '.decode())"',
            param="secret",
        )


def webhook_send(
    endpoint: Endpoint, *, message_id: str, kind: str, at: datetime, data: Mapping[str, Any]
) -> int:
    """Send one message; return the status of its receipt. Raises NotDelivered, InvalidInput.

    `message_id` is the same each time it is tried, so that a receiver knows it again; `at` is when
    the thing happened. Redirects are not followed.
    """
    endpoint_check(endpoint)
    body = json.dumps(
        {"type": kind, "timestamp": at.astimezone(UTC).isoformat(), "data": dict(data)},
        ensure_ascii=False,
    )
    moment = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(endpoint.secret).sign(message_id, moment, body),
    }
    status = _post(endpoint, body.encode(), headers)
    if not httpx.codes.is_success(status):
        raise NotDelivered(f"it answered {status}", gone=status == httpx.codes.GONE)
    return status


def _post(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> int:
    """The answer's status; its body is not read. The address that was checked is the one called."""
    url = _url(endpoint)
    address = _address(url, private=endpoint.private)
    request = {
        "headers": {**headers, "host": url.netloc.decode()},
        "content": body,
        "extensions": {"sni_hostname": _name(url)},  # whose certificate is asked for
    }
    try:
        return asyncio.run(_status(url.copy_with(host=address), request))
    except TimeoutError as error:
        raise NotDelivered(f"no answer within {ANSWER_S:g} s") from error
    except httpx.HTTPError as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error


async def _status(url: httpx.URL, request: Mapping[str, Any]) -> int:
    """Bounded as a whole: one that dribbles is within its time at every single read."""
    async with (
        asyncio.timeout(ANSWER_S),
        httpx.AsyncClient(timeout=None, follow_redirects=False, trust_env=False) as client,  # noqa: S113
        client.stream("POST", url, **request) as answer,
    ):
        return answer.status_code


def _url(endpoint: Endpoint) -> httpx.URL:
    try:
        url = httpx.URL(endpoint.url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidInput(f"the address is no URL: {error}", param="url") from error
    allowed = ("https", "http") if endpoint.private else ("https",)
    if url.scheme not in allowed or not url.raw_host or url.userinfo:
        told = f"{url.scheme}://…@{_name(url)[:80]}" if url.userinfo else endpoint.url[:80]
        raise InvalidInput(
            f"the address is {' or '.join(allowed)}://host/…, without a name or password in it, "
            f"not {told!r}",
            param="url",
        )
    if url.port is not None and url.port not in PORTS:
        raise InvalidInput(f"{url.port} is no port: 1 to {PORTS.stop - 1}", param="url")
    try:
        _name(url).encode("idna")
    except UnicodeError as error:
        said = f"{_name(url)[:80]!r} is no host's name: {error}"
        raise InvalidInput(said, param="url") from error
    return url


def _name(url: httpx.URL) -> str:
    """The host as the header names it: Python by itself would look up an older spelling of it."""
    return url.raw_host.decode()


def _address(url: httpx.URL, *, private: bool) -> str:
    """One of the host's addresses, all of which may be called. Raises NotDelivered, InvalidInput.

    Else a name could lead into our own network, or begin to, once it had been looked at.
    """
    port = url.port or {"https": 443, "http": 80}[url.scheme]
    try:
        found = socket.getaddrinfo(_name(url), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotDelivered(f"{_name(url)} has no address: {error}") from error
    addresses = [str(each[4][0]) for each in found]
    inner = [each for each in addresses if not _is_public(ip_address(each))]
    if inner and not private:
        raise InvalidInput(
            f"{_name(url)} leads to {inner[0]}, which is not on the public internet; only a "
            "setting can allow that",
            param="url",
        )
    return addresses[0]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Also of the IPv4 address that an IPv6 one leads to, by a gateway on the way."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return _is_public(IPv4Address(address.packed[-4:]))
        if address.sixtofour is not None:
            return _is_public(address.sixtofour)
        if address.is_reserved or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast
