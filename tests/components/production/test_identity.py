"""Identities: who takes which role, and how little it may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.components.production.core import (
    BACKUPS,
    CHECKPOINTS,
    ENVIRONMENTS,
    REPOSITORIES,
    SECRET,
    core,
    declare,
    inputs,
    listed,
    only,
    outputs,
    policies_of,
    statements,
)
from tests.components.production.whole import declare as declare_whole
from tests.components.recorder import record
from tools.aws_echo import ACCOUNT, REGION

WORKLOADS = ("api", "ollama", "backup")
ROLES = ("deploy", *WORKLOADS)
LARGEST_MANAGED = 6_144
"""Characters of a managed policy, white space apart."""


def trust(environment: str, role: str) -> dict[str, Any]:
    """The one statement that says who may take a role."""
    made = inputs(core(environment), "Role")[f"identity-{role}"]
    (statement,) = json.loads(made["assumeRolePolicy"])["Statement"]
    return dict(statement)


def may(role: str) -> dict[str, list[str]]:
    """What a role may do, and with what."""
    return {
        action: listed(statement["Resource"])
        for statement in policies_of(core("production"), f"identity-{role}")
        for action in statement["Action"]
        if not action.startswith("kms:")
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_jobs_of_one_environment_of_one_repository_deploy(environment: str) -> None:
    settings = load_environment(environment).identity
    statement = trust(environment, "deploy")
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": (
                f"repo:{settings.github_repository}:environment:{environment}"
            ),
        }
    }
    assert "*" not in json.dumps(statement)


def test_githubs_provider_is_made_for_one_audience() -> None:
    provider = only(core("production"), "OpenIdConnectProvider").inputs
    assert provider["url"] == "https://token.actions.githubusercontent.com"
    assert provider["clientIdLists"] == ["sts.amazonaws.com"]


def test_a_provider_that_the_account_has_is_used() -> None:
    given = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    recording = record(lambda: declare(load_environment("dev"), given))
    assert not recording.of_type("OpenIdConnectProvider")
    role = inputs(recording, "Role")["identity-deploy"]
    (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Federated": given}


def test_the_pipeline_pushes_images_and_finds_the_cluster() -> None:
    done = may("deploy")
    assert done.pop("ecr:GetAuthorizationToken") == ["*"]
    assert done.pop("eks:DescribeCluster") == [
        f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/hearth-production",
    ]
    assert "ecr:PutImage" in done
    assert all(action.startswith("ecr:") for action in done)
    assert all(resources == REPOSITORIES for resources in done.values())


def test_in_the_cluster_the_pipeline_edits_the_services_namespace() -> None:
    association = inputs(core("production"), "AccessPolicyAssociation")["identity-deploy"]
    assert association["policyArn"].endswith("/AmazonEKSEditPolicy")
    assert association["accessScope"] == {"type": "namespace", "namespaces": ["llm"]}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_workloads_pods_alone_have_its_role(environment: str, workload: str) -> None:
    statement = trust(environment, workload)
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": f"hearth-{environment}",
        "aws:RequestTag/kubernetes-namespace": "llm",
        "aws:RequestTag/kubernetes-service-account": workload,
    }
    association = inputs(core(environment), "PodIdentityAssociation")[f"identity-{workload}"]
    assert (association["namespace"], association["serviceAccount"]) == ("llm", workload)
    assert association["clusterName"] == f"hearth-{environment}"
    assert association["roleArn"] == outputs(core(environment))["workloads"][workload]


def test_the_api_logs_in_as_one_user_reads_its_secret_and_the_models() -> None:
    assert may("api") == {
        "rds-db:connect": [f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-ABC/api"],
        "secretsmanager:DescribeSecret": [SECRET],
        "secretsmanager:GetSecretValue": [SECRET],
        "s3:ListBucket": [CHECKPOINTS],
        "s3:GetObject": [f"{CHECKPOINTS}/*"],
    }


def test_ollama_reads_models_and_nothing_else() -> None:
    assert may("ollama") == {
        "s3:ListBucket": [CHECKPOINTS],
        "s3:GetObject": [f"{CHECKPOINTS}/*"],
    }


def test_who_writes_backups_neither_reads_nor_deletes_them() -> None:
    assert may("backup") == {
        "s3:ListBucket": [BACKUPS],
        "s3:ListBucketMultipartUploads": [BACKUPS],
        "s3:AbortMultipartUpload": [f"{BACKUPS}/*"],
        "s3:PutObject": [f"{BACKUPS}/*"],
    }


@pytest.mark.parametrize("role", ROLES)
def test_keys_are_used_through_a_service_alone(role: str) -> None:
    for statement in policies_of(core("production"), f"identity-{role}"):
        if any(action.startswith("kms:") for action in statement["Action"]):
            via = statement["Condition"]["StringEquals"]["kms:ViaService"]
            assert via in {f"s3.{REGION}.amazonaws.com", f"secretsmanager.{REGION}.amazonaws.com"}
            assert statement["Resource"] in outputs(core("production"))["keys"]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_wildcards_in_actions_nor_rights_over_identities(role: str) -> None:
    for statement in policies_of(core("production"), f"identity-{role}"):
        for action in statement["Action"]:
            assert "*" not in action
            assert not action.startswith(("iam:", "organizations:", "sts:"))


def test_the_boundary_is_what_the_roles_do_together() -> None:
    recording = core("production")
    boundary = statements(inputs(recording, "Policy")["identity-boundary"]["policy"])
    granted = {s["Sid"]: s for role in ROLES for s in policies_of(recording, f"identity-{role}")}
    assert boundary == granted


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_role_is_within_the_boundary_for_an_hour_at_most(environment: str) -> None:
    for role in ROLES:
        made = inputs(core(environment), "Role")[f"identity-{role}"]
        assert made["permissionsBoundary"].rpartition("/")[2].startswith("identity-boundary")
        assert made["maxSessionDuration"] == 3600


def test_the_boundary_fits_into_a_policy() -> None:
    policy = inputs(core("production"), "Policy")["identity-boundary"]["policy"]
    assert len("".join(policy.split())) < LARGEST_MANAGED


def test_an_account_that_has_githubs_provider_gets_no_second_one() -> None:
    data = load_environment("dev").model_dump(mode="json")
    data["identity"]["makes_github_provider"] = False
    made = record(lambda: declare_whole(Environment.model_validate(data)))
    assert not made.of_type("OpenIdConnectProvider")
    role = made.of_type("Role")["dev-identity-deploy"].inputs
    federated = json.loads(role["assumeRolePolicy"])["Statement"][0]["Principal"]["Federated"]
    assert federated == f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
