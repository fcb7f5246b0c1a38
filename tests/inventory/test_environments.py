"""Sound environments load; every defect is refused, with its line and what to do."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from inventory import document
from inventory.cloud.loading import ENVIRONMENT, ENVIRONMENTS, load_environment
from inventory.errors import HearthError, SiteErrors
from tests.inventory.test_sites import expectations

INVALID = Path(__file__).parents[1] / "environments" / "invalid"
VALID = Path(__file__).parents[1] / "environments" / "valid"


def test_there_are_many_invalid_environments() -> None:
    assert len(list(INVALID.glob("*.yaml"))) >= 60


@pytest.mark.parametrize("path", sorted(INVALID.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_defect_is_refused_with_its_line_and_remedy(path: Path) -> None:
    with pytest.raises(SiteErrors) as caught:
        load_environment(str(path))
    (error,) = caught.value.errors
    assert {f"{error.line} {error.where}".rstrip() + f": {error.what}"} == expectations(path)


@pytest.mark.parametrize(
    "path", [*ENVIRONMENTS.glob("*.yaml"), *VALID.glob("*.yaml")], ids=lambda p: p.stem
)
def test_a_sound_environment_loads_and_its_file_fits_the_schema(path: Path) -> None:
    load_environment(str(path))
    validator = Draft202012Validator(ENVIRONMENT.schema())
    assert list(validator.iter_errors(document.read(path).data)) == []


def test_the_schema_refuses_an_unknown_name_in_an_environment_and_in_an_overlay() -> None:
    validator = Draft202012Validator(ENVIRONMENT.schema())
    environment = document.read(VALID / "minimal.yaml").data
    assert validator.is_valid(environment)
    environment["network"]["nats"] = "single"
    assert not validator.is_valid(environment)
    assert not validator.is_valid({"extends": "production", "network": {"nats": "single"}})


def test_dev_is_production_with_an_overlay() -> None:
    production, dev = load_environment("production"), load_environment("dev")
    assert dev.cluster.version == production.cluster.version
    assert dev.cluster.administrators == production.cluster.administrators
    assert (production.database.multi_az, dev.database.multi_az) == (True, False)
    assert (production.protected, dev.protected) == (True, False)


def test_hours_are_read_as_they_are_written() -> None:
    off_peak = load_environment("production").cluster.off_peak
    assert off_peak is not None
    assert (off_peak.begins, off_peak.ends) == (time(20), time(7))


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "extends: production\nname: broken\nnetwork: {cidr: 8.0.0.0/7}\n"
        "cluster:\n  gpu: {typical: 9}\ntraffic: {peak_requests_per_day: 1}\n"
    )
    with pytest.raises(SiteErrors) as caught:
        load_environment(str(broken))
    assert [(e.line, e.where) for e in caught.value.errors] == [
        (3, "network.cidr"),
        (3, "network.cidr"),
        (5, "cluster.gpu.typical"),
        (6, "traffic.peak_requests_per_day"),
    ]


def test_an_environment_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(HearthError, match=r"prod: no such environment .* name one of dev, produc"):
        load_environment("prod")
