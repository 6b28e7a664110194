"""The web process's application on a real port, in a thread of the test process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from saas.asgi import Web


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """Serve `saas.asgi` and yield its address, "http://127.0.0.1:port"."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Web(), log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
