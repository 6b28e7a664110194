"""A RabbitMQ server of the test's own, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saas.runtime.ports import HOST, free_port

LIMIT_S = 90.0


def is_installed() -> bool:
    return _server() is not None


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[str]:
    """Start a server with its data in `folder`; yield its address, and stop it at the end."""
    server = _server()
    assert server is not None, "install rabbitmq-server"
    port, distribution = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {HOST}:{port}\nloopback_users.guest = true\n"
    )
    (folder / "plugins").write_text("[].")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"breakwater{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(free_port()),
    }
    with (folder / "out").open("ab") as log:
        process = subprocess.Popen(
            [server], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(port, process, folder / "out")
        yield f"amqp://guest:guest@{HOST}:{port}//"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _end_epmd(environment)


def _server() -> str | None:
    """The server itself: the wrapper in PATH insists on its own user."""
    for path in sorted(Path("/usr/lib/rabbitmq").glob("lib/*/sbin/rabbitmq-server")):
        return str(path)
    return shutil.which("rabbitmq-server")


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            with socket.create_connection((HOST, port), timeout=1):
                return
        except OSError:
            assert process.poll() is None, f"RabbitMQ ended:\n{log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, f"RabbitMQ is silent:\n{log.read_text()[-4000:]}"
            time.sleep(0.2)


def _end_epmd(environment: dict[str, str]) -> None:
    """Erlang's name server outlives the node that started it; this one is ours by its port."""
    epmd = shutil.which("epmd")
    if epmd:
        subprocess.run([epmd, "-kill"], env=environment, capture_output=True, check=False)
