"""The child process: alone, bare, and gone with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.workers.tasks.factories import until
from workers.tasks.channel import ChannelClosed
from workers.tasks.child import LOOPBACK, NO_NETWORK
from workers.tasks.process import ROOT, Child

ENTRY = "probe"


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that the child can import, which tells what it sees."""
    (tmp_path / "probe.py").write_text(
        textwrap.dedent(
            """
            import os, resource, socket, sys, time
            def run(channel, request):
                if request.get("print"):
                    print("x" * request["print"])
                if request.get("raise"):
                    raise ValueError("no good")
                if request.get("connect"):
                    try:
                        socket.create_connection(("127.0.0.1", request["connect"]), 2).close()
                        channel.send({"connected": True})
                    except OSError:
                        channel.send({"connected": False})
                if request.get("allocate"):
                    os.kill(os.getpid(), 9)
                channel.send({
                    "environment": dict(os.environ), "session": os.getsid(0), "pid": os.getpid(),
                    "umask": os.umask(0), "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                    "cwd": os.getcwd(), "django": "django" in sys.modules,
                    "oom": open("/proc/self/oom_score_adj").read().strip(),
                    "descriptors": len(os.listdir("/proc/self/fd")),
                })
                if request.get("stay"):
                    time.sleep(600)
            """
        )
    )
    environment = __import__("workers.tasks.process", fromlist=["_environment"])
    plain = environment._environment
    monkeypatch.setattr(
        environment,
        "_environment",
        lambda scratch: plain(scratch) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    )
    return tmp_path


def test_a_child_sees_no_secret_and_stands_alone(
    probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "very secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@h/d")
    secret = os.open(probe / "probe.py", os.O_RDONLY)
    os.set_inheritable(secret, True)  # a descriptor that somebody left open for children
    child = Child(ENTRY, probe)
    child.channel.send({})
    seen = child.channel.receive(30)
    assert seen is not None
    assert child.wait(30) == 0
    child.end()
    os.close(secret)
    text = repr(seen["environment"])
    assert "very secret" not in text
    assert "postgresql" not in text
    assert seen["environment"]["OMP_NUM_THREADS"] == "1"
    assert seen["session"] == seen["pid"] != os.getsid(0)
    assert (seen["umask"], seen["core"], seen["oom"]) == (0o077, 0, "900")
    assert (seen["cwd"], seen["django"]) == (str(probe), False)
    assert seen["descriptors"] <= 5  # standard three, the channel, and the listing itself


@pytest.mark.parametrize("network", [NO_NETWORK, LOOPBACK])
def test_a_child_that_trains_reaches_nothing_and_a_replica_the_loopback(
    probe: Path, network: str
) -> None:
    if network == NO_NETWORK and not _kernel_allows_leaving():
        pytest.skip("this kernel lets nobody leave the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = Child(ENTRY, probe, network=network)
        child.channel.send({"connect": server.getsockname()[1]})
        assert child.channel.receive(30) == {"connected": network == LOOPBACK}
        child.end()


def _kernel_allows_leaving() -> bool:
    program = (
        "import sys; from workers.tasks.child import leave_network as leave; sys.exit(not leave())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    return done.returncode == 0


def test_a_crash_is_told_and_its_last_words_kept(probe: Path) -> None:
    child = Child(ENTRY, probe)
    child.channel.send({"raise": True})
    frame = child.channel.receive(30)
    assert frame == {"type": "crashed", "error": "ValueError('no good')"}
    assert child.wait(30) == 1
    child.end()
    assert "no good" in child.log_tail


def test_what_a_child_prints_is_kept_in_bounds(probe: Path) -> None:
    child = Child(ENTRY, probe)
    child.channel.send({"print": 10_000_000})
    assert child.channel.receive(30) is not None
    child.end()
    assert 1000 < len(child.log_tail) <= 64 * 1024


def test_a_child_killed_from_outside_closes_the_channel(probe: Path) -> None:
    child = Child(ENTRY, probe)
    child.channel.send({"allocate": True})
    with pytest.raises(ChannelClosed):
        child.channel.receive(30)
    assert child.end() == -signal.SIGKILL


def test_a_child_that_ignores_nothing_ends_by_term(probe: Path) -> None:
    child = Child(ENTRY, probe)
    child.channel.send({"stay": True})
    assert child.channel.receive(30) is not None
    assert child.end(grace_s=10) == -signal.SIGTERM


def test_a_child_dies_with_its_parent(probe: Path) -> None:
    """The parent is killed by SIGKILL, which it can neither see nor handle."""
    program = textwrap.dedent(
        f"""
        import os, pathlib, time
        from workers.tasks import process
        plain = process._environment
        path = {str(ROOT)!r} + os.pathsep + {str(probe)!r}
        process._environment = lambda scratch: plain(scratch) | {{"PYTHONPATH": path}}
        child = process.Child("probe", pathlib.Path({str(probe)!r}))
        child.channel.send({{"stay": True}})
        print(child.channel.receive(30)["pid"], flush=True)
        time.sleep(600)
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    until(lambda: not psutil.pid_exists(pid), timeout=10, what="the child's end")


def test_a_child_whose_parent_is_another_leaves_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.tasks.child", "probe", "0", "1", NO_NETWORK],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1


@pytest.mark.parametrize("module", ["saas.celery", "workers.tasks.tasks", "saas.handlers"])
def test_the_parent_never_loads_torch(module: str) -> None:
    program = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'saas.settings'\n"
        f"import django; django.setup(); import {module}\n"
        "assert 'workers.engine.protocol' not in sys.modules or 'torch' not in sys.modules\n"
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
