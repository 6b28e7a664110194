"""One judge for all: transformers with peft, an example at a time, neither packed nor padded.

`python -m …held_out BASE COUNT ADAPTER…` answers with a loss for the base and for each adapter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.benchmarks.training import text
from workers.engine.data.readers import Example


def main(base: Path, count: int, adapters: list[Path]) -> list[float]:
    torch.set_num_threads(1)
    _, examples = text.examples(base, train=0, held_out=count)
    losses = [loss(AutoModelForCausalLM.from_pretrained(base), examples)]
    for adapter in adapters:
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
        losses.append(loss(model, examples))
    return losses


@torch.no_grad()
def loss(model: torch.nn.Module, examples: list[Example]) -> float:
    """Nats per completion token."""
    model.eval()
    total, tokens = 0.0, 0
    for example in examples:
        ids, learned = torch.tensor(example.ids), torch.tensor(example.mask, dtype=torch.bool)
        logits = model(input_ids=ids[None]).logits[0, :-1].float()
        of_each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        total += float(of_each[learned[1:]].double().sum())
        tokens += int(learned[1:].sum())
    return total / tokens


if __name__ == "__main__":
    found = main(Path(sys.argv[1]), int(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
    sys.stdout.write("\n" + json.dumps(found) + "\n")
