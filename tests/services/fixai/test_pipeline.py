"""Ten thousand reports through the pipeline, on real servers; the benchmark is what drives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bench_fixai
from tests.services.fixai.conftest import need

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

REPORTS = 10_000


def test_of_ten_thousand_reports_none_is_lost_or_counted_twice(tmp_path: Path) -> None:
    need("java", "mvn")
    run = bench_fixai.measure(REPORTS, tmp_path)
    assert run.lost == 0
    assert run.twice == 0
