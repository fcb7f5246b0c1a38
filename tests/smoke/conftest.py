"""A site whose chat suite takes a second, and a way to judge a gateway of known behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.loading import load
from smoke.access import Access
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


@pytest.fixture
def judge(site: Site) -> Judge:
    """Run suites against a gateway that behaves so."""

    def judge_it(behaviour: Behaviour, *suites: str, other: Site | None = None) -> Report:
        with serving(behaviour) as url:
            return run(other or site, Access(url, Path("/dev/null")), suites, lambda _: None)

    return judge_it
