"""All components of an environment together, as far as they exist, each with the others' outputs.

A stack does the same. Tests of policies, of checkov and of the audit look at all of it.
"""

from __future__ import annotations

from functools import cache

from components.production.backup import Vault, VaultArgs
from components.production.cache import Cache, CacheArgs
from components.production.cluster import Cluster, ClusterArgs
from components.production.database import Database, DatabaseArgs
from components.production.edge import Edge, EdgeArgs
from components.production.identity import Identity, IdentityArgs
from components.production.keys import Keys, KeysArgs
from components.production.network import Network, NetworkArgs
from components.production.observability import Observability, ObservabilityArgs
from components.production.registry import Registry, RegistryArgs
from components.production.storage import Storage, StorageArgs
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from stacks.tags import tag_everything, tags_of
from tests.components.recorder import Recording, record
from tools.aws_echo import ACCOUNT, REGION


def declare(environment: Environment) -> None:
    """Declares every component of an environment, tagged as the stack tags them."""
    tag_everything(tags_of(environment))
    name, protected = f"hearth-{environment.name}", environment.protected
    keys = Keys("keys", KeysArgs(ACCOUNT, REGION, protected))
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
            protected=protected,
        ),
    )
    database = Database(
        "database",
        DatabaseArgs(
            settings=environment.database,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            client_security_group_ids=[cluster.security_group_id],
            key_arn=keys.data,
            log_key_arn=keys.logs,
            protected=protected,
        ),
    )
    cache_ = Cache(
        "cache",
        CacheArgs(
            settings=environment.cache,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            client_security_group_ids=[cluster.security_group_id],
            key_arn=keys.data,
            password="a-password-of-enough-length",  # noqa: S106 - nobody's
            log_key_arn=keys.logs,
            protected=protected,
        ),
    )
    storage = Storage("storage", StorageArgs(environment.storage, keys.data, ACCOUNT, protected))
    Vault(
        "backup",
        VaultArgs(
            settings=environment.storage,
            account=ACCOUNT,
            key_arn=keys.backup,
            database_arn=database.arn,
            protected=protected,
        ),
    )
    registry = Registry("registry", RegistryArgs(environment.images, keys.data, ACCOUNT, protected))
    Identity(
        "identity",
        IdentityArgs(
            settings=environment.identity,
            account=ACCOUNT,
            region=REGION,
            cluster_name=cluster.name,
            repository_arns=registry.repository_arns.apply(lambda arns: list(arns.values())),
            database_resource_id=database.resource_id,
            secret_arns=[cache_.secret_arn],
            checkpoints_bucket_arn=storage.checkpoints_bucket_arn,
            backups_bucket_arn=storage.backups_bucket_arn,
            data_key_arn=keys.data,
            backups_key_arn=keys.backup,
        ),
    )
    Edge(
        "edge",
        EdgeArgs(
            settings=environment.edge,
            region=REGION,
            account=ACCOUNT,
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            cluster_security_group_id=cluster.security_group_id,
            access_bucket=storage.access_bucket,
            log_bucket_arn=storage.logs_bucket_arn,
            log_key_arn=keys.logs,
            hosted_zone_id="Z0123456789ABCDEFGHIJ",
            protected=protected,
        ),
    )
    Observability(
        "observability",
        ObservabilityArgs(
            settings=environment.observability,
            account=ACCOUNT,
            region=REGION,
            message_key_arn=keys.messages,
            log_key_arn=keys.logs,
            log_bucket_arn=storage.logs_bucket_arn,
            bucket_key_arn=keys.data,
        ),
    )


@cache
def whole(name: str) -> Recording:
    """What is recorded of one of the project's environments."""
    environment = load_environment(name)
    return record(lambda: declare(environment))
