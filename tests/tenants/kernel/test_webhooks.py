"""One signed message over a real connection; where messages may not go."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hmac
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.kernel.webhooks import Endpoint, NotDelivered, endpoint_check, webhook_send
from tests.tenants.kernel.receiver import Receiver

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
AT = dt.datetime(2027, 1, 6, 12, tzinfo=dt.UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def send(url: str, **more: Any) -> int:
    endpoint = Endpoint(url, more.pop("secret", SECRET), private=more.pop("private", True))
    return webhook_send(
        endpoint, message_id="msg_1", kind="market.rival_moved", at=AT, data={"say": "降价"}
    )


def test_a_message_arrives_signed_as_the_standard_says(receiver: Receiver) -> None:
    """The signature is worked out by hand: HMAC-SHA256 of id.timestamp.body, base64."""
    assert send(receiver.url) == 200
    (got,) = receiver.received
    assert got.json == {
        "type": "market.rival_moved",
        "timestamp": "2027-01-06T12:00:00+00:00",
        "data": {"say": "降价"},
    }
    signed = f"msg_1.{got.headers['webhook-timestamp']}.".encode() + got.body
    digest = base64.b64encode(hmac.new(KEY, signed, "sha256").digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{digest}"
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == receiver.url.split("/")[2]
    age = dt.datetime.now(dt.UTC).timestamp() - int(got.headers["webhook-timestamp"])
    assert 0 <= age < 60


@pytest.mark.parametrize(
    ("status", "gone"), [(500, False), (404, False), (302, False), (410, True)]
)
def test_what_is_not_accepted_is_not_delivered(receiver: Receiver, status: int, gone: bool) -> None:
    receiver.answers = [status]
    with pytest.raises(NotDelivered, match=f"answered {status}") as caught:
        send(receiver.url)
    assert caught.value.gone is gone
    assert len(receiver.received) == 1  # a redirect is not followed


def test_where_nobody_listens_it_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotDelivered, match="ConnectError"):
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://127.0.0.1/x", "leads to 127.0.0.1, which is not on the public internet"),
        ("https://[::1]/x", "leads to ::1"),
        ("https://169.254.169.254/latest", "leads to 169.254.169.254"),
        ("https://10.1.2.3/", "leads to 10.1.2.3"),
        ("https://localhost/", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]/", "not on the public internet"),
        ("https://[64:ff9b::a00:1]/", "not on the public internet"),  # by NAT64: 10.0.0.1
        ("https://[2002:a9fe:a9fe::1]/", "not on the public internet"),  # 6to4: 169.254.169.254
        ("https://[::127.0.0.1]/", "not on the public internet"),
        ("https://[fec0::1]/", "not on the public internet"),
        ("https://224.0.0.1/", "not on the public internet"),
        ("https://2130706433/", "leads to 127.0.0.1"),
        ("https://0x7f000001/", "leads to 127.0.0.1"),
        ("https://0/", "leads to 0.0.0.0"),
        ("http://example.org/", "the address is https://host"),
        ("ftp://example.org/", "the address is https://host"),
        ("https://user:word@example.org/", "without a name or password"),
        ("example.org", "the address is https://host"),
        ("", "the address is https://host"),
    ],
)
def test_what_may_not_be_called_is_refused_unless_a_setting_allows_it(url: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(url, private=False)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://hooks..example.org/", "is no host's name"),
        ("https://\ud800.org/", "is no URL"),
        (f"https://{'a' * 64}.org/", "is no host's name"),
        ("https://example.org:0/", "0 is no port"),
        ("https://example.org:65536/", "65536 is no port"),
    ],
)
def test_what_no_connection_can_be_made_to_is_refused_before(url: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        endpoint_check(Endpoint(url, SECRET))
    assert caught.value.param == "url"


def test_neither_a_secret_nor_a_password_is_repeated() -> None:
    assert SECRET not in repr(Endpoint("https://example.org/", SECRET))
    with pytest.raises(InvalidInput) as caught:
        endpoint_check(Endpoint("https://user:word@example.org/", SECRET))
    assert "word@" not in caught.value.message
    assert "example.org" in caught.value.message


@pytest.mark.parametrize(
    ("written", "name"), [("faß.de", "xn--fa-hia.de"), ("xn--a.example.org", "xn--a.example.org")]
)
def test_the_name_that_is_looked_up_is_the_one_that_is_told(
    monkeypatch: pytest.MonkeyPatch, written: str, name: str
) -> None:
    """`faß.de` and `fass.de` are two owners' since IDNA 2008; Python's own codec mixes them up.

    What is no Punycode cannot be told in letters, and is looked up as it stands.
    """
    asked: list[str] = []

    def nowhere(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(NotDelivered):
        send(f"https://{written}/", private=False)
    assert asked == [name]


def test_one_that_begins_an_answer_and_never_ends_it_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says "go on" without end, so that no single read takes long."""
    monkeypatch.setattr("tenants.kernel.webhooks.ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_says_go_on, args=(server,))
        thread.start()
        with pytest.raises(NotDelivered, match=r"no answer within 0\.5 s"):
            send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(10)
        assert not thread.is_alive()


def _says_go_on(server: socket.socket) -> None:
    taken, _ = server.accept()
    with taken, contextlib.suppress(OSError):
        while True:
            taken.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!!", "whsec_…", SECRET[6:], SECRET + "\n", "whsec_c2hvcnQ="]
)
def test_a_secret_that_is_none_says_how_to_make_one(secret: str) -> None:
    with pytest.raises(InvalidInput, match=r"os\.urandom") as caught:
        endpoint_check(Endpoint("https://example.org/", secret))
    assert caught.value.param == "secret"
