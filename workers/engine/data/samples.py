"""Labelled samples of one fixed shape (images, recordings): decoded, checked, kept on disk.

Free of torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from workers.engine.data.classes import Seen
from workers.engine.data.media import Item, media_read
from workers.engine.data.packing import Ints
from workers.engine.data.problems import SHOWN_PROBLEMS, Problem, problems_refuse
from workers.engine.data.rows import RowError
from workers.engine.data.shards import Sizes

Values = npt.NDArray[Any]
MOST_UNFOLDED = 64 * 2**30  # bytes of all files of an upload, decoded one by one


@dataclass(frozen=True)
class Decoded:
    """What a model reads; `tokens` may be more than it takes, where the file is longer.

    `unfolded` is how many bytes the file was while it was decoded.
    """

    values: Values
    tokens: int
    unfolded: int


class Format(Protocol):
    """How a model of one kind wants its files; read from its folder."""

    @property
    def noun(self) -> str:
        """image, or audio."""

    @property
    def tokens(self) -> int:
        """Patches that the model makes of each; a patch is to it what a token is to a text."""

    def decode(self, content: bytes) -> Decoded:
        """A file's bytes as the model reads them, not yet normalised. Raises RowError."""

    def normalised(self, values: Values) -> npt.NDArray[np.float32]:
        """A batch of them as the model's input."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One file, decoded, with its class; `cut` tokens were left off."""

    line: int
    label: str
    values: Values
    tokens: int
    cut: int = 0

    @property
    def loss_tokens(self) -> int:
        return 1

    def fingerprint(self) -> bytes:
        """64 bits of the content."""
        content = self.values.tobytes() + self.label.encode()
        return hashlib.blake2b(content, digest_size=8).digest()


def samples_read(
    handle: BinaryIO, form: Format, policy: str | None, *, training: bool
) -> Iterator[Sample | Problem]:
    """Read labelled files, in their order.

    One longer than the model takes is refused ("error") or cut ("truncate"); without a policy it is
    counted whole. With `training`, there must be two classes, of two examples each, at least.
    """
    seen, unfolded = Seen(), 0
    for item in media_read(handle, form.noun):
        if isinstance(item, Problem):
            yield item
            continue
        if unfolded > MOST_UNFOLDED:
            reason = f"what comes before it unfolds to over {MOST_UNFOLDED // 2**30} GiB"
            fix = "make the files smaller, or split the upload."
            yield Problem(item.line, item.name, "too_large", reason, fix)
            return
        try:
            decoded = form.decode(item.content)
            unfolded += decoded.unfolded
            found = _sample(item, decoded, form, policy)
        except RowError as error:
            yield Problem(item.line, item.name, error.code, error.reason, error.fix)
            continue
        seen.add(found.label, item.line)
        yield found
    if not seen:
        fix = "pack one folder a class into a zip archive, or write a line of JSON for each file."
        yield Problem(0, "file", "empty", f"the file has no usable {form.noun}", fix)
    elif training:
        yield from seen.problems()


def _sample(item: Item, decoded: Decoded, form: Format, policy: str | None) -> Sample:
    surplus = decoded.tokens - form.tokens
    if policy is None or surplus <= 0:
        return Sample(item.line, item.label, decoded.values, decoded.tokens)
    if policy != "truncate":
        raise RowError(
            form.noun,
            "too_long",
            f"it is {decoded.tokens} patches long, the model takes {form.tokens}",
            "shorten it, or choose length_policy truncate.",
        )
    return Sample(item.line, item.label, decoded.values, form.tokens, cut=surplus)


@dataclass(frozen=True)
class Samples:
    """Samples on disk: `values` (N, …) as a memory map; the place of each one's class."""

    values: Values
    labels: Ints
    sizes: Sizes
    lengths: Ints

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Stored:
    """What `samples_write` wrote: still by name of class, with the lines for messages."""

    path: Path
    labels: list[str]
    lines: list[int]
    shape: tuple[int, ...]
    dtype: str
    tokens: int
    cut: int

    def opened(self, places: Ints) -> Samples:
        """To train on, once the classes have their places."""
        count = len(self.labels)
        values = np.memmap(self.path, dtype=self.dtype, mode="r", shape=(count, *self.shape))
        sizes = Sizes(count, self.tokens, count, self.cut)
        return Samples(values, places, sizes, np.full(count, self.tokens // count))


def samples_write(samples: Iterable[Sample | Problem], folder: Path) -> Stored:
    """Store the values of `samples` in `folder`.

    Raises:
        DataError: the data hold a problem (the first few are named).
    """
    folder.mkdir(parents=True, exist_ok=True)
    problems: list[Problem] = []
    labels: list[str] = []
    lines: list[int] = []
    shape, dtype, tokens, cut = (0,), "u1", 0, 0
    with (folder / "values.bin").open("wb") as out:
        for sample in samples:
            if isinstance(sample, Problem):
                problems.append(sample)
                if len(problems) >= SHOWN_PROBLEMS:
                    break
                continue
            sample.values.tofile(out)
            shape, dtype = sample.values.shape, sample.values.dtype.str
            labels.append(sample.label)
            lines.append(sample.line)
            tokens, cut = tokens + sample.tokens, cut + sample.cut
    problems_refuse(problems)
    return Stored(folder / "values.bin", labels, lines, shape, dtype, tokens, cut)
