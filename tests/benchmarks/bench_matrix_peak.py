"""How much of a packed LoRA step's time is its arithmetic, at the speed of bare matrix products.

    python -m tests.benchmarks bench_matrix_peak

Useful operations of one update of 8 examples, per second of processor time, over what the base's
products reach at the same shapes with nothing around them; update and products in turn. LoRA of
rank 8 on every linear layer. The head and most of the last block count at learned places alone;
attention's products count too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.training.contest import ROOT
from workers.tasks.process import ALLOCATOR

if TYPE_CHECKING:
    from tests.benchmarks.training.workload import Size

TARGET = 0.75
UPDATES, WARM_UP = 15, 3
RANK = 8
FROZEN, ADAPTED = 4, 6  # operations for each weight and row, forward and backward
ATTENDED = 12  # for each number of a token and each token that it attends to: six products


class Product(NamedTuple):
    """`times` products of `rows` rows with a matrix (outs, ins), each forward and backward."""

    rows: int
    outs: int
    ins: int
    times: int

    @property
    def operations(self) -> int:
        return FROZEN * self.rows * self.outs * self.ins * self.times

    @property
    def adapters(self) -> int:
        return ADAPTED * self.rows * RANK * (self.outs + self.ins) * self.times


def main() -> dict[str, Any]:
    """Measure and print."""
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.bench_matrix_peak"],
        cwd=ROOT, env=dict(os.environ) | one_thread | ALLOCATOR, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return found


def measured() -> dict[str, Any]:
    """In this process, by size: the share of the peak, and both speeds in operations a second."""
    from tests.benchmarks.training.workload import SIZES

    return {name: share(size) for name, size in SIZES.items()} | {"target": TARGET}


def share(size: Size) -> dict[str, Any]:
    from tests.benchmarks.training.ours import begun
    from tests.benchmarks.training.workload import BATCH, base_make, examples_make, spec

    examples = examples_make(BATCH * UPDATES)
    update_s, product_s, tokens = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = base_make(folder / "base", size)
        with begun(base, examples, spec(), folder, adapter=None) as run:
            for number in range(UPDATES):
                attended = attention_operations(size, run.micro_batches())
                begin = time.process_time()
                done = run.update()
                took = time.process_time() - begin
                body, head = products_of(size, done.tokens, done.weight)
                bare = bare_s([*body, head])
                if number >= WARM_UP:
                    base_operations = sum(p.operations for p in (*body, head))
                    adapters = sum(p.adapters for p in body)
                    update_s.append(took / (base_operations + adapters + attended))
                    product_s.append(bare / base_operations)
                    tokens.append(done.tokens)
    speed, peak = (1 / statistics.median(each) for each in (update_s, product_s))
    return {
        "share_of_peak": speed / peak,
        "operations_per_cpu_s": speed,
        "peak": peak,
        "tokens": statistics.median(tokens),
        "runs": {"update_s_per_operation": update_s, "product_s_per_operation": product_s},
    }


def products_of(size: Size, tokens: int, learned: int) -> tuple[list[Product], Product]:
    """Those of the blocks, and the head's. In the last block only keys and values need all rows."""
    n, middle, last = size.hidden, size.middle, size.layers - 1
    from tests.benchmarks.training.workload import VOCABULARY

    body = [
        Product(tokens, n, n, 4 * last + 2),
        Product(tokens, middle, n, 2 * last),
        Product(tokens, n, middle, last),
        Product(learned, n, n, 2),
        Product(learned, middle, n, 2),
        Product(learned, n, middle, 1),
    ]
    return body, Product(learned, VOCABULARY, n, 1)


def attention_operations(size: Size, packs: Iterable[Any]) -> int:
    """Those of causal attention; in the last block the learned places alone attend."""
    pairs = 0
    for pack in packs:
        seen = pack.positions + 1
        pairs += (size.layers - 1) * int(seen.sum()) + int(seen[pack.places].sum())
    return ATTENDED * size.hidden * pairs


def bare_s(products: list[Product]) -> float:
    """Processor seconds of the products alone, with inputs that are there already."""
    import torch

    total = 0.0
    for product in products:
        x, dy = torch.ones(product.rows, product.ins), torch.ones(product.rows, product.outs)
        for weight in _weights(product):
            begin = time.process_time()
            torch.nn.functional.linear(x, weight)
            dy @ weight
            total += time.process_time() - begin
    return total


def _weights(product: Product) -> Iterator[Any]:
    """As many matrices as a model has: one and the same would stay in the cache."""
    import torch

    for _ in range(product.times):
        yield torch.ones(product.outs, product.ins)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured()) + "\n")
