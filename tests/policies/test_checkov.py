"""checkov on what a stack records: every check that matters passes, every other has a reason."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.paths import PROJECT
from policies.graph import Graph, Resource
from policies.terraform import terraform, terraform_type, write
from tests.policies.stack import ENVIRONMENTS, graph_of, made

CHECKOV = PROJECT / ".venv-checkov" / "bin" / "checkov"
SKIPS = PROJECT / "policies" / "checkov-skips.yaml"
MOST_SECONDS = 60
NOBODY = "http://127.0.0.1:9"
"""Where nothing listens: checkov asks nobody."""

EXPECTED: Mapping[str, Sequence[str]] = {
    "aws_eks_cluster": ("37", "38", "39", "58"),
    "aws_eks_node_group": ("100",),
    "aws_launch_template": ("79", "341"),
    "aws_db_instance": ("16", "17", "118", "129", "133", "161", "226", "353", "354"),
    "aws_elasticache_replication_group": ("29", "30", "31", "191"),
    "aws_s3_bucket": ("18", "19", "20", "21", "53", "54", "55", "56", "145"),
    "aws_s3_bucket_lifecycle_configuration": ("300",),
    "aws_cloudfront_distribution": ("34", "68", "174"),
    "aws_lb": ("91", "131"),
    "aws_lb_listener": ("2", "103"),
    "aws_security_group": ("23",),
    "aws_vpc_security_group_ingress_rule": ("24", "25", "260", "277"),
    "aws_vpc_security_group_egress_rule": ("382",),
    "aws_subnet": ("130",),
    "aws_kms_key": ("7", "227"),
    "aws_ecr_repository": ("51", "136", "163"),
    "aws_ecr_repository_policy": ("32",),
    "aws_cloudwatch_log_group": ("66", "158"),
    "aws_iam_role": ("60", "61", "274", "393"),
    "aws_iam_role_policy": ("62", "63", "286", "287", "288", "289", "290", "355"),
    "aws_secretsmanager_secret": ("149",),
    "aws_backup_vault": ("166",),
    "aws_sns_topic": ("26",),
}
"""Numbers of CKV_AWS checks by the type that they look at.

275 and 358 look at data sources only, which a stack of Pulumi's has none of; 393 is 358 for roles.
What a stack fails on purpose is not here but in the skips.
"""
IN_PRODUCTION: Mapping[str, Sequence[str]] = {"aws_db_instance": ("157", "293"), "aws_lb": ("150",)}
"""What a developers' environment does without."""

pytestmark = pytest.mark.skipif(not CHECKOV.is_file(), reason="no checkov; `make unit` installs it")


@dataclass(slots=True)
class Scan:
    """What checkov said, as (check, name of the resource)."""

    types: set[str]
    passed: set[tuple[str, str]] = field(default_factory=set)
    failed: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Skip:
    """A failure that was looked at."""

    check: str
    resources: tuple[str, ...]
    environments: tuple[str, ...]
    reason: str

    def covers(self, environment: str, check: str, resource: str) -> bool:
        """Whether it is about this failure."""
        return (
            check == self.check
            and environment in self.environments
            and any(fnmatchcase(resource, pattern) for pattern in self.resources)
        )


def skips() -> list[Skip]:
    """The reviewed failures."""
    return [
        Skip(
            entry["check"],
            tuple(entry["resources"]),
            tuple(entry.get("environments", ENVIRONMENTS)),
            entry["reason"],
        )
        for entry in yaml.safe_load(SKIPS.read_text())
    ]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Each of the project's environments."""
    return str(request.param)


@pytest.fixture(scope="module")
def scan(environment: str, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """What checkov says of an environment."""
    graph, folder = graph_of(environment), tmp_path_factory.mktemp(environment)
    write(graph, made, folder)
    command = [
        *(str(CHECKOV), "--directory", str(folder), "--framework", "terraform_json", "terraform"),
        *("--output", "json", "--compact", "--skip-download", "--skip-results-upload"),
    ]
    ended = subprocess.run(
        command,
        env=os.environ | {"HTTPS_PROXY": NOBODY, "HTTP_PROXY": NOBODY},
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_SECONDS,
    )
    types = {terraform_type(r.type) for r in graph.resources if r.type.startswith("aws:")}
    found = Scan(types)
    for report in json.loads(ended.stdout):
        assert report["results"]["parsing_errors"] == []
        found.passed |= _checks(report["results"]["passed_checks"])
        found.failed |= _checks(report["results"]["failed_checks"])
    return found


def _checks(records: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(record["check_id"], record["resource"].partition(".")[2]) for record in records}


def test_what_matters_passes(scan: Scan, environment: str) -> None:
    tables = [EXPECTED, *([IN_PRODUCTION] if environment == "production" else [])]
    expected = {
        f"CKV_AWS_{number}"
        for table in tables
        for type_, numbers in table.items()
        if type_ in scan.types
        for number in numbers
    }
    assert sorted(expected - {check for check, _ in scan.passed}) == []


def test_every_failure_has_a_reason(scan: Scan, environment: str) -> None:
    known = skips()
    unexplained = [
        failure
        for failure in sorted(scan.failed)
        if not any(skip.covers(environment, *failure) for skip in known)
    ]
    assert unexplained == []


def test_every_reason_is_needed(scan: Scan, environment: str) -> None:
    needless = [
        skip.check
        for skip in skips()
        if environment in skip.environments
        and not any(skip.covers(environment, *failure) for failure in scan.failed)
    ]
    assert needless == []


def test_references_between_resources_are_references() -> None:
    blocks = terraform(graph_of("production"), made)["resource"]
    (block,) = blocks["aws_default_security_group"].values()
    assert block["vpc_id"] == "${aws_vpc.production-network.id}"
    versioning = blocks["aws_s3_bucket_versioning"]["production-storage-logs"]
    assert versioning["bucket"] == "${aws_s3_bucket.production-storage-logs.id}"
    policy = blocks["aws_s3_bucket_policy"]["production-storage-logs"]["policy"]
    assert "${aws_s3_bucket.production-storage-logs.arn}/*" in policy


def test_lists_of_blocks_are_blocks_of_terraforms_names(tmp_path: Path) -> None:
    resource = Resource(
        "urn:a",
        "aws:rds/parameterGroup:ParameterGroup",
        "forced.tls",
        {"parameters": [{"name": "rds.force_ssl", "applyMethod": "immediate", "value": "1"}]},
    )
    write(Graph([resource]), lambda _: {}, tmp_path)
    assert json.loads((tmp_path / "main.tf.json").read_text()) == {
        "resource": {
            "aws_db_parameter_group": {
                "forced-tls": {
                    "parameter": [
                        {"name": "rds.force_ssl", "apply_method": "immediate", "value": "1"}
                    ]
                }
            }
        }
    }
