"""A plugin that does harm: the act is named in its settings. Read as text, run in children only."""

import ctypes
import json
import os
import resource
import socket
import sys
import time
from decimal import Decimal
from pathlib import Path

from plugins.sdk import Claim, Meter, StepResult, hookimpl


def raises(work):
    raise RuntimeError("on purpose")


def hangs(work):
    while True:
        time.sleep(60)


def spins(work):
    while True:
        pass


def own_cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def works(work):
    began = own_cpu_s()
    while own_cpu_s() - began < work.settings["cpu_s"]:
        pass
    if work.settings.get("exits"):
        os._exit(1)
    return StepResult(figures={"used": own_cpu_s() - began, "since_start": own_cpu_s()})


def allocates(work):
    return StepResult(figures={"length": len(bytearray(10 * 1024**3))})


def forks(work):
    pids = [os.fork() for _ in range(3)]
    if 0 in pids:
        time.sleep(600)
    return StepResult()


def forks_and_tells(work):
    try:
        for _ in range(3):
            if os.fork() == 0:
                time.sleep(600)
    finally:
        work.beat(0.5)
    return StepResult()


def runs_programs(work):
    os.execv("/bin/sh", ["sh", "-c", "sleep 600"])


def floods(work):
    while True:
        os.write(1, b"x" * 65536)


def nan(work):
    return StepResult(figures={"score": float("nan")})


def on_the_wire(body):
    os.write(int(sys.argv[1]), len(body).to_bytes(4, "big") + body)
    time.sleep(60)


def nan_on_the_wire(work):
    on_the_wire(b'{"result":{"figures":{"score":NaN},"files":[],"claims":[],"notice":""}}')


def no_error_on_the_wire(work):
    on_the_wire(b'{"error":[],"message":{}}')


def huge_number(work):
    return StepResult(figures={"score": 10**400})


def wrong_type(work):
    return [StepResult()]


def wrong_field(work):
    return StepResult(figures={"score": [1, 2]})


def gigabyte(work):
    end = int(sys.argv[1])
    os.write(end, (1024**3).to_bytes(4, "big"))
    while True:
        os.write(end, b"x" * 65536)


def long_answer(work):
    return StepResult(notice="x" * (8 * 1024**2))


def sockets(work):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as out:
        out.settimeout(1)
        out.connect(("127.0.0.1", work.settings["port"]))
    return StepResult()


def passwd(work):
    return StepResult(notice=Path("/etc/passwd").read_text())


def reads(work):
    return StepResult(notice=Path(work.settings["path"]).read_text())


def environment(work):
    return StepResult(notice=json.dumps(dict(os.environ)))


def other_handle(work):
    with work.open(work.settings["handle"]) as file:
        return StepResult(notice=file.read().decode())


def our_packages(work):
    import importlib

    found = []
    for name in ("saas", "tenants", "workers", "plugins.host.pool", "django", "psycopg", "torch"):
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            pass
    return StepResult(notice=",".join(found))


def patches(work):
    import plugins.sdk.codec as codec

    codec.to_json = json.dumps = lambda *a, **k: "{}"
    sys.modules["json"] = None
    Path.read_text = None
    return StepResult()


def sleeps_past_cancel(work):
    work.beat_seen = True
    work._port.progress(0.5)
    time.sleep(600)


def exits(work):
    os._exit(0)


def system_exit(work):
    raise SystemExit(0)


def lies(work):
    return StepResult(claims=(Claim(work.settings["meter"], work.settings_quantity),))


def signals_parent(work):
    os.kill(os.getppid(), work.settings["signal"])
    return StepResult()


def becomes_root(work):
    os.setuid(0)
    return StepResult()


def fills_disk(work):
    with work.create("big") as out:
        while True:
            out.write(b"x" * 1024**2)


def links(work):
    with work.create("x"):
        pass
    (work._port._folder / "x").unlink()
    (work._port._folder / "x").symlink_to("/etc/passwd")
    return StepResult(files=("x",))


def remounts(work):
    if ctypes.CDLL(None).unshare(0x10000000 | 0x20000) == 0:
        return StepResult(notice="unshared")
    raise PermissionError("unshare")


def remembers(work):
    mine = Path("note").read_text() if Path("note").exists() else ""
    Path("note").write_text(work.settings["note"])
    return StepResult(notice=mine)


def good(work):
    return StepResult(notice="good")


@hookimpl
def prepare_dataset(work):
    work.settings_quantity = Decimal(work.settings.get("quantity", "1"))
    return globals()[work.settings["act"]](work)


@hookimpl
def meters():
    return (Meter("rows", "row", "Rows", Decimal(100)),)
