"""Repositories keep what they promise, in both environments."""

from __future__ import annotations

import json

import pytest

from components.production.registry import Registry, RegistryArgs
from inventory.cloud.model import Environment
from tests.components.production.given import BOTH, key, policy, recorded
from tests.components.recorder import Recording
from tools.aws_echo import ACCOUNT


def declare(environment: Environment) -> Registry:
    return Registry(
        "images",
        RegistryArgs(
            settings=environment.images,
            key_arn=key("data"),
            account=ACCOUNT,
            protected=environment.protected,
        ),
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


@pytest.fixture(params=BOTH)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    return recordings[request.param]


def test_each_image_has_a_repository_of_a_known_name(recording: Recording) -> None:
    made = recording.of_type("ecr/repository:Repository").values()
    assert {each.inputs["name"] for each in made} == {"images/api", "images/ollama"}


def test_tags_do_not_move_and_images_are_scanned_and_encrypted(recording: Recording) -> None:
    for each in recording.of_type("ecr/repository:Repository").values():
        assert each.inputs["imageTagMutability"] == "IMMUTABLE"
        assert each.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert each.inputs["encryptionConfigurations"] == [
            {"encryptionType": "KMS", "kmsKey": key("data")}
        ]


def test_old_images_go(recording: Recording) -> None:
    policies = recording.of_type("ecr/lifecyclePolicy:LifecyclePolicy").values()
    assert len(policies) == 2
    for each in policies:
        untagged, tagged = (
            rule["selection"] for rule in json.loads(each.inputs["policy"])["rules"]
        )
        assert (untagged["tagStatus"], untagged["countNumber"]) == ("untagged", 7)
        assert (tagged["tagStatus"], tagged["countNumber"]) == ("tagged", 20)


def test_only_the_account_pulls_and_the_policy_lets_nobody_push(recording: Recording) -> None:
    policies = recording.of_type("ecr/repositoryPolicy:RepositoryPolicy").values()
    assert len(policies) == 2
    for each in policies:
        ((sid, statement),) = policy(each.inputs["policy"]).items()
        assert sid == "PullWithinAccount"
        assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert not any("Put" in action or "*" in action for action in statement["Action"])


def test_protected_repositories_are_deleted_only_deliberately_and_empty(
    recordings: dict[str, Recording],
) -> None:
    for name, protected in (("production", True), ("dev", False)):
        for each in recordings[name].of_type("ecr/repository:Repository").values():
            assert each.protect is protected
            assert each.inputs["forceDelete"] is not protected
