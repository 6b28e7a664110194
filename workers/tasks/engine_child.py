"""What runs inside the child for engine work: frames in, `Progress` out.

It loads torch. Never imported by the parent: it is the child's ENTRY.
"""

from __future__ import annotations

from dataclasses import replace

from workers.engine.compression.compress import compress
from workers.engine.evaluation import evaluate
from workers.engine.training.loop import train
from workers.tasks.channel import Channel, Frame
from workers.tasks.engine_frames import (
    ChannelProgress,
    compress_work_of,
    evaluate_work_of,
    result_frame,
    work_of,
)
from workers.tasks.rank_child import train_in_processes


def run(channel: Channel, request: Frame) -> None:
    """Do the work that `request` describes and send its result."""
    kind, processes = request["work"], int(request["numerics"].get("processes", 1))
    if kind == "cohort":
        _train_cohort(channel, request)
        return
    if kind == "fine_tune" and processes > 1:
        train_in_processes(channel, request, processes)
        return
    progress = ChannelProgress(channel)
    if kind == "evaluate":
        result = evaluate(evaluate_work_of(request), progress)
    elif kind == "compress":
        result = compress(compress_work_of(request), progress)
    else:
        (result,) = train(work_of(request), progress)
    channel.send({"type": "result", **result_frame(result)})


def _train_cohort(channel: Channel, request: Frame) -> None:
    """Each member's result goes out as it ends; at the end of all, word of that."""
    work = replace(work_of(request), together=True, pass_tokens=int(request["pass_tokens"]))
    for result in train(work, ChannelProgress(channel, is_open=True)):
        channel.send({"type": "result", "key": result.key, **result_frame(result)})
    channel.send({"type": "done"})
