"""A site whose chat suite takes a second, and a way to judge a gateway of known behaviour."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.loading import load
from smoke.access import Access
from smoke.load import streams
from smoke.run import run
from tests.smoke.gateway import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.model import Site
    from smoke.report import Report
    from tests.smoke.gateway import Behaviour

    Judge = Callable[..., Report]


@pytest.fixture(scope="session")
def site() -> Site:
    return load(str(Path(__file__).with_name("lab.yaml")))


ATTEMPTS = 4
"""A busy machine sends late, and the suite then refuses to judge: that is tested elsewhere."""


@pytest.fixture
def judge(site: Site, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Run suites against a gateway that behaves so."""
    # Its tokens come faster than a model's.
    monkeypatch.setattr(streams, "_TELLING_S", 0.020)

    def judge_it(behaviour: Behaviour, *suites: str, other: Site | None = None) -> Report:
        for _ in range(ATTEMPTS):
            trial = deepcopy(behaviour)
            with serving(trial) as url:
                access = Access(url, Path("/dev/null"), api_key=behaviour.key or "")
                report = run(other or site, access, suites, lambda _: None)
            if not any("the generator was late" in check.detail for check in report.checks):
                break
        behaviour.requests[:] = trial.requests
        return report

    return judge_it
