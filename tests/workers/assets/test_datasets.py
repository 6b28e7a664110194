"""Datasets: a file read for a base model; every bad row named by line, every good one counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tenants.accounts.services import SignedUp
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.workers.assets.factories import GOOD, base_make, chat, file_make, jsonl
from tests.workers.assets.test_files import at_once, delete
from workers.assets.datasets import (
    problem_sentence,
    refuse_too_long,
    row_format,
    tally,
)
from workers.assets.models import BaseModel, Dataset, File
from workers.assets.selectors import dataset_get
from workers.assets.services import dataset_require_valid, dataset_validate
from workers.engine.data.problems import Problem
from workers.engine.data.readers import Example


def example(line: int, *ids: int) -> Example:
    return Example(line, list(ids), [0] + [1] * (len(ids) - 1))


def problem(line: int) -> Problem:
    return Problem(line, "messages", "wrong_role", "the role is 'x'", "use user")


class TestCounting:
    def test_every_figure(self) -> None:
        total = tally([example(1, 5, 6), problem(2), example(3, 5, 6, 7), example(4, 5, 6)])

        assert (total.examples, total.tokens, total.loss_tokens) == (3, 7, 4)
        assert (total.longest, total.longest_line, total.duplicates) == (3, 3, 1)
        assert (total.problem_count, [p["line"] for p in total.problems]) == (1, [2])

    @given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=30))
    def test_duplicates_are_those_beyond_the_first_of_each(self, rows: list[list[int]]) -> None:
        total = tally(example(n, *ids) for n, ids in enumerate(rows, 1))

        assert total.duplicates == len(rows) - len({tuple(ids) for ids in rows})

    def test_equal_tokens_with_another_mask_are_no_duplicates(self) -> None:
        assert tally([Example(1, [1, 2], [0, 1]), Example(2, [1, 2], [0, 0])]).duplicates == 0

    def test_the_first_hundred_problems_are_kept_and_all_are_counted(self) -> None:
        total = tally(problem(line) for line in range(1, 251))

        assert (len(total.problems), total.problem_count) == (100, 250)
        said = problem_sentence(total.problems, total.problem_count)
        assert "line 1, messages: the role is 'x'; use user" in said
        assert said.endswith("and 247 more")

    @pytest.mark.parametrize(
        ("line", "form"),
        [
            (b'{"messages": []}', "chat"),
            (b'\xef\xbb\xbf{"prompt": "a", "completion": "b"}', "completion"),
            (b'{"text": "a"}', "text"),
            (b'{"other": 1}', "unknown"),
            (b"[1]", "unknown"),
            (b"nonsense", "unknown"),
            (b"", "unknown"),
            (b"[" * 100_000, "unknown"),
        ],
    )
    def test_the_first_line_shows_the_format(self, line: bytes, form: str) -> None:
        assert row_format(line) == form

    def test_a_row_over_the_limit_is_refused_by_the_policy_error_only(self) -> None:
        fields: dict[str, Any] = {"longest": 65, "longest_line": 7, "param": "training_file"}
        refuse_too_long(limit=65, policy="error", **fields)
        for policy in ("truncate", "split"):
            refuse_too_long(limit=64, policy=policy, **fields)
        with pytest.raises(InvalidInput, match="line 7 has 65 tokens, the limit is 64") as refused:
            refuse_too_long(limit=64, policy="error", **fields)
        assert refused.value.param == "training_file"


@pytest.fixture
def base(tmp_path: Path, storage_dir: Path, db: None) -> Iterator[BaseModel]:
    return base_make(tmp_path / "base")


@pytest.fixture
def tenant(db: None) -> SignedUp:
    return tenant_make()


def validated(tenant: SignedUp, content: bytes, **fields: Any) -> Dataset:
    file = file_make(tenant, content)
    with tenant_scope(tenant.tenant.id):
        return dataset_validate(
            actor=owner_of(tenant), file_id=file.id, **{"base_id": "tiny", **fields}
        )


@pytest.mark.django_db
class TestValidation:
    def test_a_good_chat_file_is_counted_as_its_tokenizer_counts(
        self, tenant: SignedUp, base: BaseModel
    ) -> None:
        dataset = validated(tenant, GOOD)

        core = Tokenizer.from_file(f"{base.path}/tokenizer.json")
        rows = [json.loads(line)["messages"] for line in GOOD.splitlines()]
        sizes = [
            len(core.encode(f"<|user|>{q['content']}<|end|><|assistant|>{a['content']}<|end|>").ids)
            for q, a in rows
        ]
        learned = [len(core.encode(f"{a['content']}<|end|>").ids) for _, a in rows]
        assert dataset.status == Dataset.Status.VALID
        assert (dataset.format, dataset.examples) == ("chat", 10)
        assert (dataset.tokens, dataset.loss_tokens) == (sum(sizes), sum(learned))
        assert dataset.longest == max(sizes)
        assert dataset.problems == []
        assert len(dataset.template_sha256) == 64
        with system_scope():
            assert File.objects.get(pk=dataset.file_id).status == File.Status.PROCESSED
        dataset_require_valid(dataset)

    @pytest.mark.parametrize(
        ("bad", "line", "said"),
        [
            (b"not json at all\n", 11, "not JSON"),
            (b'{"messages": [{"role": "usr", "content": "x"}]}\n', 11, "role"),
            (b'{"messages": []}\n', 11, "messages"),
            (b'{"messages": [{"role": "user", "content": "x"}]}\n', 11, "assistant"),
            (b'{"prompt": "x"}\n', 11, "completion"),
            (b'{"other": 1}\n', 11, "none of the known fields"),
            (b"[]\n", 11, "not a JSON object"),
            (b'{"text": "' + b"x" * (5 * 2**20) + b'"}\n', 11, "longer than 4 MiB"),
            (b'\n\n{"messages": 3}\n', 13, "messages"),
        ],
        ids=lambda v: str(v)[:20],
    )
    def test_a_bad_row_is_named_by_its_line_and_the_file_is_refused(
        self, bad: bytes, line: int, said: str, tenant: SignedUp, base: BaseModel
    ) -> None:
        dataset = validated(tenant, GOOD + bad)

        assert dataset.status == Dataset.Status.INVALID
        assert (dataset.problem_count, dataset.problems[0]["line"]) == (1, line)
        with pytest.raises(InvalidInput) as refused:
            dataset_require_valid(dataset, param="validation_file")
        assert refused.value.param == "validation_file"
        assert f"line {line}, " in refused.value.message
        assert said in refused.value.message
        with system_scope():
            file = File.objects.get(pk=dataset.file_id)
        assert file.status == File.Status.ERROR
        assert f"line {line}, " in file.status_details

    def test_a_file_of_blank_lines_has_no_examples(self, tenant: SignedUp, base: BaseModel) -> None:
        dataset = validated(tenant, b"\n  \n\n")

        with pytest.raises(InvalidInput, match="no lines"):
            dataset_require_valid(dataset)

    def test_rows_longer_than_the_model_reads_are_counted_and_located(
        self, tenant: SignedUp, base: BaseModel
    ) -> None:
        """Whether they are cut, split or refused is the job's choice."""
        long = jsonl([chat("Why? " * 200, "So.")])
        dataset = validated(tenant, GOOD + long)

        assert dataset.status == Dataset.Status.VALID
        assert dataset.longest > base.context_length
        assert dataset.longest_line == 11

    def test_the_same_file_and_base_give_the_same_dataset(
        self, tenant: SignedUp, base: BaseModel, tmp_path: Path
    ) -> None:
        file = file_make(tenant)
        other = base_make(tmp_path / "other", model_id="other")
        with tenant_scope(tenant.tenant.id):
            actor = owner_of(tenant)
            one = dataset_validate(actor=actor, file_id=file.id, base_id=base.id)
            again = dataset_validate(actor=actor, file_id=file.id, base_id=base.id)
            for_other = dataset_validate(actor=actor, file_id=file.id, base_id=other.id)
            assert dataset_get(one.id) == one
        assert one == again != for_other

    def test_validating_at_once_makes_one_dataset(self, tenant: SignedUp, base: BaseModel) -> None:
        file = file_make(tenant)

        def validate() -> None:
            with tenant_scope(tenant.tenant.id):
                dataset_validate(actor=owner_of(tenant), file_id=file.id, base_id=base.id)

        at_once(validate, validate, validate)
        with system_scope():
            assert Dataset.objects.count() == 1

    def test_what_cannot_be_read_is_refused_at_its_field(
        self, tenant: SignedUp, base: BaseModel, tmp_path: Path
    ) -> None:
        base_make(tmp_path / "vectors", model_id="vectors", kind="embedding")
        other = file_make(tenant, purpose="user_data")
        good, deleted = file_make(tenant), file_make(tenant)
        delete(tenant, deleted.id)
        theirs = file_make(tenant_make("Other"))
        cases: list[tuple[str, str, type[Exception], str]] = [
            (other.id, base.id, InvalidInput, "training_file"),
            (deleted.id, base.id, NotFound, "training_file"),
            (theirs.id, base.id, NotFound, "training_file"),
            ("file-none", base.id, NotFound, "training_file"),
            (good.id, "gpt-none", NotFound, "model"),
        ]
        with tenant_scope(tenant.tenant.id):
            for file_id, base_id, error, param in cases:
                with pytest.raises(error) as refused:
                    dataset_validate(actor=owner_of(tenant), file_id=file_id, base_id=base_id)
                assert refused.value.param == param  # type: ignore[attr-defined]
            # an encoder learns classes, but writes no text
            with pytest.raises(
                InvalidInput, match="it can learn embeddings or text_class"
            ) as cannot:
                dataset_validate(
                    actor=owner_of(tenant),
                    file_id=good.id,
                    base_id="vectors",
                    task="text_generation",
                )
            assert cannot.value.param == "task"

    def test_another_tenants_dataset_is_not_there(self, tenant: SignedUp, base: BaseModel) -> None:
        dataset = validated(tenant, GOOD)
        with tenant_scope(tenant_make("Thief").tenant.id), pytest.raises(NotFound):
            dataset_get(dataset.id)
