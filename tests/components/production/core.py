"""The core of an environment as it is recorded: keys, network, cluster, identities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pulumi

from components.production.cluster import Cluster, ClusterArgs
from components.production.identity import Identity, IdentityArgs
from components.production.keys import Keys, KeysArgs
from components.production.network import Network, NetworkArgs
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.components.recorder import Recorded, Recording, record
from tools.aws_echo import ACCOUNT, REGION

ENVIRONMENTS = ("production", "dev")
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:cache"
CHECKPOINTS, BACKUPS = "arn:aws:s3:::checkpoints", "arn:aws:s3:::backups"
REPOSITORIES = [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}" for name in ("api", "ollama")]


def declare_cluster(environment: Environment) -> tuple[Keys, Network, Cluster]:
    """Declares the cluster and what it stands on."""
    name = f"hearth-{environment.name}"
    keys = Keys("keys", KeysArgs(ACCOUNT, REGION, environment.protected))
    network = Network(
        "network",
        NetworkArgs(
            settings=environment.network,
            account=ACCOUNT,
            region=REGION,
            zone_names=[f"{REGION}{zone}" for zone in "abc"[: environment.network.zones]],
            cluster_name=name,
            log_key_arn=keys.logs,
        ),
    )
    cluster = Cluster(
        "cluster",
        ClusterArgs(
            settings=environment.cluster,
            cluster_name=name,
            subnet_ids=network.private_subnet_ids,
            key_arn=keys.cluster,
            log_key_arn=keys.logs,
            account=ACCOUNT,
            region=REGION,
            protected=environment.protected,
            node_tags={"Owner": environment.owner},
        ),
    )
    return keys, network, cluster


def declare(environment: Environment, github_provider_arn: str | None = None) -> None:
    """Declares it as a stack would; the stack's outputs stand in a component of the test's own."""
    keys, network, cluster = declare_cluster(environment)
    identity = Identity(
        "identity",
        IdentityArgs(
            settings=environment.identity,
            account=ACCOUNT,
            region=REGION,
            cluster_name=cluster.name,
            repository_arns=REPOSITORIES,
            database_resource_id="db-ABC",
            secret_arns=[SECRET],
            checkpoints_bucket_arn=CHECKPOINTS,
            backups_bucket_arn=BACKUPS,
            data_key_arn=keys.data,
            backups_key_arn=keys.backup,
            github_provider_arn=github_provider_arn,
        ),
    )
    _Outputs(
        {
            "nat_ids": network.nat_ids,
            "private_subnet_ids": network.private_subnet_ids,
            "keys": [keys.cluster, keys.data, keys.logs, keys.backup, keys.messages],
            "cluster": cluster.name,
            "security_group_id": cluster.security_group_id,
            "node_role_name": cluster.node_role_name,
            "interruption_queue_name": cluster.interruption_queue_name,
            "node_pools": cluster.node_pools,
            "workloads": dict(identity.workload_role_arns),
        }
    )


class _Outputs(pulumi.ComponentResource):
    """Records outputs as inputs of its own."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        super().__init__("test:index:Outputs", "outputs", dict(outputs))


@cache
def core(name: str) -> Recording:
    """The recorded core of one of the project's environments."""
    return record(lambda: declare(load_environment(name)))


def outputs(recording: Recording) -> dict[str, Any]:
    """What the components gave to the stack."""
    return recording.of_type("Outputs")["outputs"].inputs


def inputs(recording: Recording, kind: str) -> dict[str, dict[str, Any]]:
    """The inputs of the resources of a type, by name."""
    return {name: resource.inputs for name, resource in recording.of_type(kind).items()}


def only(recording: Recording, kind: str) -> Recorded:
    """The one resource of a type."""
    (resource,) = recording.of_type(kind).values()
    return resource


def statements(policy: str) -> dict[str, dict[str, Any]]:
    """The statements of a policy's JSON, by Sid."""
    return {statement["Sid"]: statement for statement in json.loads(policy)["Statement"]}


def policies_of(recording: Recording, prefix: str) -> list[dict[str, Any]]:
    """All statements of the role policies whose names begin so."""
    return [
        statement
        for name, resource in recording.of_type("RolePolicy").items()
        if name.startswith(prefix)
        for statement in json.loads(resource.inputs["policy"])["Statement"]
    ]


def listed(value: str | Sequence[str]) -> list[str]:
    """Actions or resources of a statement, which may be one."""
    return [value] if isinstance(value, str) else list(value)
