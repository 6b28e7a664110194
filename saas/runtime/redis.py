"""The embedded Redis: the broker and the cache of a first run, with an append-only file."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from saas.runtime.binaries import program_version, redis_server
from saas.runtime.layout import Layout
from saas.runtime.ports import HOST
from saas.runtime.secrets import secret_write


@dataclass(frozen=True)
class Redis:
    """A server on a loopback port, its password in a file rather than on a command line."""

    folder: Path
    port: int
    password: str

    @property
    def config(self) -> Path:
        return self.folder / "redis.conf"

    def command(self) -> list[str]:
        return [str(redis_server()), str(self.config)]

    def prepare(self) -> None:
        """Write the settings. Raises RuntimeFailure where the server does not run here."""
        program_version(redis_server())
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.folder}"',
            "daemonize": "no",
            "set-proc-title": "no",  # it would overwrite the mark of whose process this is
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',  # the append-only file says it all
            "maxmemory-policy": "noeviction",  # a broker must never drop what it was given
        }
        secret_write(self.config, "".join(f"{key} {value}\n" for key, value in settings.items()))

    def ready(self) -> bool:
        """Whether it answers PING: not while it still loads its file."""
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def redis_for(layout: Layout, url: str) -> Redis:
    """Return the data folder's Redis, at the address that `url` names."""
    parts = urlsplit(url)
    return Redis(layout.redis, parts.port or 6379, parts.password or "")
