"""What a report says of where it was made."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path

from inventory.loading import load
from inventory.model import Site
from smoke.access import Access
from smoke.environment import digest, observe
from smoke.run import run


def test_it_names_the_machine_s_size_and_not_the_machine(site: Site) -> None:
    found = observe(site, 0.25)
    assert found.cores >= 1
    assert found.memory_bytes > 1 << 28
    assert found.load_average_start == 0.25
    node = platform.node()
    assert node == "" or node not in {str(value) for value in asdict(found).values()}
    assert f" {node} " not in f" {found.kernel} "


def test_the_digest_is_of_the_site_s_values(site: Site) -> None:
    assert digest(site) == digest(site.model_copy())
    assert digest(site) != digest(load("sandbox"))
    assert len(digest(site)) == 64


def test_a_run_tells_where_it_was_made_and_how_long_each_suite_took(site: Site) -> None:
    report = run(site, Access("http://127.0.0.1:1", Path("/dev/null")), ["chat"], lambda _: None)
    assert report.environment is not None
    assert report.environment.site_digest == digest(site)
    assert list(report.suite_seconds) == ["chat"]
    assert 0 < report.suite_seconds["chat"] <= report.seconds
