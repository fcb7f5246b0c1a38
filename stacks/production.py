"""The production stack: an environment on AWS, each component given what the others made."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.production.alarms import Watched
from components.production.backup import Vault, VaultArgs
from components.production.cache import Cache, CacheArgs
from components.production.cluster import Cluster, ClusterArgs
from components.production.database import Database, DatabaseArgs
from components.production.edge import Edge, EdgeArgs
from components.production.identity import Identity, IdentityArgs, github_provider
from components.production.keys import Keys, KeysArgs
from components.production.network import Network, NetworkArgs
from components.production.observability import Observability, ObservabilityArgs
from components.production.registry import Registry, RegistryArgs
from components.production.storage import Storage, StorageArgs
from inventory.cloud.model import Environment
from inventory.cloud.parts import CLOUDFRONT_REGION
from stacks.tags import tag_everything, tags_of

CACHE_PASSWORD = "cachePassword"  # noqa: S105 - the name of a setting


def declare(environment: Environment, cache_password: pulumi.Input[str]) -> None:
    """Declares an environment, every resource of it tagged.

    Args:
        environment: what to provision.
        cache_password: with which clients log in to the cache; a secret.
    """
    tag_everything(tags_of(environment))
    name, protected = environment.name, environment.protected
    accounts = [environment.account] if environment.account else None
    provider = aws.Provider("aws", region=environment.region, allowed_account_ids=accounts)
    own = pulumi.ResourceOptions(providers=[provider])
    asked = pulumi.InvokeOutputOptions(provider=provider)
    account = environment.account or aws.get_caller_identity_output(opts=asked).account_id
    zone = aws.route53.get_zone_output(name=environment.edge.hosted_zone, opts=asked)
    log_days = environment.observability.log_days

    keys = Keys("keys", KeysArgs(account, environment.region, protected), own)
    network = Network(
        f"{name}-network",
        NetworkArgs(
            settings=environment.network,
            account=account,
            region=environment.region,
            zone_names=[
                f"{environment.region}{zone}" for zone in "abc"[: environment.network.zones]
            ],
            cluster_name=environment.cluster_name,
            log_key_arn=keys.logs,
        ),
        own,
    )
    cluster = Cluster(
        f"{name}-cluster",
        ClusterArgs(
            settings=environment.cluster,
            cluster_name=environment.cluster_name,
            subnet_ids=network.private_subnet_ids,
            key_arn=keys.cluster,
            log_key_arn=keys.logs,
            account=account,
            region=environment.region,
            protected=protected,
            node_tags=tags_of(environment),
        ),
        own,
    )
    database = Database(
        f"{name}-database",
        DatabaseArgs(
            settings=environment.database,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            client_security_group_ids=[cluster.security_group_id],
            key_arn=keys.data,
            log_key_arn=keys.logs,
            log_days=log_days,
            protected=protected,
        ),
        own,
    )
    cache = Cache(
        f"{name}-cache",
        CacheArgs(
            settings=environment.cache,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            client_security_group_ids=[cluster.security_group_id],
            key_arn=keys.data,
            password=cache_password,
            log_key_arn=keys.logs,
            log_days=log_days,
            protected=protected,
        ),
        own,
    )
    storage = Storage(
        f"{name}-storage", StorageArgs(environment.storage, keys.data, account, protected), own
    )
    Vault(
        f"{name}-backup",
        VaultArgs(
            settings=environment.storage,
            account=account,
            key_arn=keys.backup,
            database_arn=database.arn,
            protected=protected,
        ),
        own,
    )
    registry = Registry(name, RegistryArgs(environment.images, keys.data, account, protected), own)
    identity = Identity(
        f"{name}-identity",
        IdentityArgs(
            settings=environment.identity,
            account=account,
            region=environment.region,
            cluster_name=cluster.name,
            repository_arns=registry.repository_arns.apply(lambda arns: list(arns.values())),
            database_resource_id=database.resource_id,
            secret_arns=[database.secret_arn, cache.secret_arn],
            checkpoints_bucket_arn=storage.checkpoints_bucket_arn,
            backups_bucket_arn=storage.backups_bucket_arn,
            data_key_arn=keys.data,
            backups_key_arn=keys.data,
            github_provider_arn=(
                None if environment.identity.makes_github_provider else github_provider(account)
            ),
        ),
        own,
    )
    edge = Edge(
        f"{name}-edge",
        EdgeArgs(
            settings=environment.edge,
            region=environment.region,
            account=account,
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            cluster_security_group_id=cluster.security_group_id,
            access_bucket=storage.access_bucket,
            log_bucket_arn=storage.logs_bucket_arn,
            log_key_arn=keys.logs,
            hosted_zone_id=zone.zone_id,
            log_days=log_days,
            protected=protected,
        ),
        own,
    )
    observability = Observability(
        f"{name}-observability",
        ObservabilityArgs(
            settings=environment.observability,
            account=account,
            region=environment.region,
            message_key_arn=keys.messages,
            log_key_arn=keys.logs,
            log_bucket_arn=storage.logs_bucket_arn,
            bucket_key_arn=keys.data,
            watched=Watched(
                database_id=database.id,
                database_storage=environment.database.storage,
                cache_id=cache.id,
                cache_nodes=environment.cache.replicas + 1,
                balancer_suffix=edge.balancer_suffix,
                target_group_suffix=edge.target_group_suffix,
                distribution_id=edge.distribution_id,
                firewall_metric=edge.firewall_metric,
                health_check_id=edge.health_check_id,
                nat_ids=network.nat_ids,
                nats=environment.network.nats,
            ),
            copied_log_groups={
                f"{subject}-{number}": group
                for subject, groups in (
                    ("database", database.log_group_names),
                    ("cache", cache.log_group_names),
                )
                for number, group in enumerate(groups)
            },
            global_message_key_arn=_global_key(environment, account),
        ),
        own,
    )
    pulumi.export("url", edge.url)
    pulumi.export("vpcId", network.vpc_id)
    pulumi.export("clusterName", cluster.name)
    pulumi.export("clusterEndpoint", cluster.endpoint)
    pulumi.export("nodePools", cluster.node_pools)
    pulumi.export("interruptionQueue", cluster.interruption_queue_name)
    pulumi.export("targetGroupArn", edge.target_group_arn)
    pulumi.export("databaseAddress", database.address)
    pulumi.export("databaseSecretArn", database.secret_arn)
    pulumi.export("cacheAddress", cache.primary_address)
    pulumi.export("cacheSecretArn", cache.secret_arn)
    pulumi.export("repositories", registry.repository_urls)
    pulumi.export("checkpointsBucket", storage.checkpoints_bucket)
    pulumi.export("backupsBucket", storage.backups_bucket)
    pulumi.export("deployRoleArn", identity.deploy_role_arn)
    pulumi.export("workloadRoleArns", dict(identity.workload_role_arns))
    pulumi.export("alarmTopicArn", observability.topic_arn)
    pulumi.export("serviceLogGroup", observability.service_log_group)


def _global_key(environment: Environment, account: pulumi.Input[str]) -> pulumi.Output[str] | None:
    """What encrypts alarms about CloudFront, where the environment itself is elsewhere."""
    if environment.region == CLOUDFRONT_REGION:
        return None
    provider = aws.Provider("aws-global", region=CLOUDFRONT_REGION)
    own = pulumi.ResourceOptions(providers=[provider])
    args = KeysArgs(account, CLOUDFRONT_REGION, environment.protected)
    return Keys("global-keys", args, own).messages
