"""Loopback ports: which are free, who holds the others."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

import psutil

from saas.runtime.errors import RuntimeFailure

HOST = "127.0.0.1"
# Below the kernel's ephemeral range, from which outgoing connections could take a port in between.
RANGE = range(21_000, 30_000)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def free_port(*, avoid: Container[int] = ()) -> int:
    """Return a port nobody listens on. Raises RuntimeFailure."""
    for port in random.sample(RANGE, 200):
        if port not in avoid and port_is_free(port):
            return port
    raise RuntimeFailure(f"no free port between {RANGE.start} and {RANGE.stop - 1} on {HOST}")


def port_holder(port: int) -> str:
    """Return who listens there, as far as this user may see."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid is not None:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"
