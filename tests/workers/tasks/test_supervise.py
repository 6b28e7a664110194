"""One attempt with a real child, a real engine, a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.jobs.factories import attempts_of, job_row, make_tenant, make_worker
from tests.workers.tasks.factories import sold, start, submit_fine_tune, weights_of
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "system", "owner"])


def test_a_fine_tune_runs_to_a_model(base: BaseModel, tmp_path: Path) -> None:
    tenant = make_tenant()
    job = submit_fine_tune(tenant)
    start(make_worker()).join()
    row = job_row(job.id)
    assert (row.state, row.error) == ("succeeded", None), attempts_of(job.id)[0].error
    assert sold(job.id) == row.result["trained_tokens"] > 0
    assert weights_of(row.result["model_version_id"], tmp_path / "made")
