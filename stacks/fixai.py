"""The FixAI stack: the application on a site's cluster, each component given what others made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from components.fixai import application as own
from components.fixai.application import RoleArgs, settings_text
from components.fixai.backup import (
    CassandraBackup,
    CassandraBackupArgs,
    PicturesBackup,
    PicturesBackupArgs,
)
from components.fixai.cassandra import Cassandra, CassandraArgs
from components.fixai.kafka import Kafka, KafkaArgs
from components.fixai.minio import NAME as MINIO
from components.fixai.minio import Minio, MinioArgs
from components.fixai.network import Network, NetworkArgs
from components.fixai.platform import BATCH, SERVICES, STORES, Platform, PlatformArgs
from components.fixai.pods import Image, Secret, Where
from components.fixai.prometheus import Prometheus, PrometheusArgs
from components.fixai.redis import Redis, RedisArgs
from components.fixai.scaling import Scaling, ScalingArgs
from components.fixai.traefik import Certificate, Traefik, TraefikArgs
from components.fixai.tunnel import Simulation, Tunnel, TunnelArgs
from components.fixai.zookeeper import Zookeeper, ZookeeperArgs
from inventory.fixai import (
    ACCOUNTS,
    ASKING,
    BUCKETS,
    CONSUMED,
    EDGE_NAMESPACE,
    IMAGES,
    NAMESPACE,
    OWN_IMAGE,
    FixAI,
)
from inventory.fixai import Pod as Size
from inventory.fixai_edges import edges
from inventory.model import Site

_TUNNEL = "https://tunnel.fixai.svc.cluster.local"
_GATEWAY = f"https://traefik.{EDGE_NAMESPACE}.svc.cluster.local:443"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the stack's configuration keeps.

    Attributes:
        passwords: by the names of `inventory.fixai.ACCOUNTS`.
        certificate: the gateway's.
    """

    passwords: Mapping[str, pulumi.Input[str]]
    certificate: Certificate


def secrets_from(config: pulumi.Config, settings: FixAI) -> Secrets:
    """The stack's configuration, still secret; `hearth up` generates what is not given by hand.

    Raises:
        pulumi.RunError: The language model's key is missing.
    """
    key = ACCOUNTS["llm"]
    if not settings.llm.simulated and config.get_secret(key) is None:
        raise pulumi.RunError(
            f"hearth:{key}: the key of {settings.llm.base_url} is missing; "
            f"run `pulumi config set --secret hearth:{key}` and paste it"
        )
    return Secrets(
        {name: config.require_secret(key) for name, key in ACCOUNTS.items()},
        Certificate(
            chain=config.require("tlsCertificate"),
            key=config.require_secret("tlsPrivateKey"),
            authority=config.require("tlsAuthority"),
        ),
    )


def declare(site: Site, secrets: Secrets, kubeconfig: Path) -> None:
    """Declares FixAI on a site's cluster.

    Args:
        site: with a cluster and FixAI's settings.
        secrets: passwords and the gateway's certificate.
        kubeconfig: the file that tells how the cluster's API is reached.

    Raises:
        ValueError: The site has no FixAI.
    """
    if site.fixai is None:
        raise ValueError(f"{site.name}: no FixAI; add `fixai:`")
    _Stack(site, site.fixai, secrets, kubeconfig).declare()


class _Stack:
    """The parts in the order in which they come up."""

    def __init__(self, site: Site, settings: FixAI, secrets: Secrets, kubeconfig: Path) -> None:
        self._site = site
        self._settings = settings
        self._secrets = secrets
        self._provider = kubernetes.Provider(
            "cluster",
            kubeconfig=str(kubeconfig),
            # Its name tells clusters apart, not the file's folder on somebody's computer.
            cluster_identifier=site.name,
            enable_server_side_apply=True,
            # Pods carry a checksum of both: a change is an update, and the pods follow.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
        )
        self._platform = Platform(
            "platform",
            PlatformArgs((NAMESPACE, EDGE_NAMESPACE), settings.claims, NAMESPACE),
            self._options(),
        )
        self._edges = edges(settings)
        network = NetworkArgs((NAMESPACE, EDGE_NAMESPACE), self._edges, [self._platform])
        self._network = Network("network", network, self._options())
        self._text = settings_text(settings)

    def declare(self) -> None:
        """All of it."""
        settings = self._settings
        kafka = self._broker()
        cassandra = self._cassandra()
        minio = self._minio()
        redis = self._redis()
        keys = own.Keys(
            "keys",
            own.KeysArgs(
                self._platform.namespaces[NAMESPACE],
                self._secrets.passwords["backend"],
                self._secrets.passwords["llm"],
            ),
            self._after(),
        )
        # The keeper may look at every bucket: it sees that they are there.
        migrated = [cassandra.login, minio.keeper.seen_as(MINIO)]
        migration = own.Migration(
            "migration",
            self._role(settings.nodes.work, migrated, Size(), [kafka, cassandra, minio], BATCH),
            self._after(),
        )
        backend = own.Backend(
            "backend",
            self._role(
                settings.nodes.front,
                [cassandra.login, redis.login, minio.login, keys.token],
                settings.backend,
                [migration, redis],
                replicas=settings.backend.replicas,
            ),
            self._after(),
        )
        own.Outbox(
            "outbox",
            self._role(
                settings.nodes.front,
                [cassandra.login],
                settings.outbox,
                [migration],
                replicas=settings.outbox.replicas,
            ),
            self._after(),
        )
        self._consumers(cassandra, minio, keys, migration)
        traefik = self._traefik(backend)
        pulumi.export("url", traefik.url)
        pulumi.export("tunnelUrl", self._tunnel(traefik))
        pulumi.export("prometheus", self._prometheus().address)
        pulumi.export("topics", settings.topics)
        pulumi.export("buckets", list(BUCKETS))
        self._backups(cassandra, minio, migration)

    def _broker(self) -> Kafka:
        settings, address = self._settings, None
        where = self._where(settings.nodes.front[:1], STORES)
        if settings.uses_zookeeper:
            zookeeper = ZookeeperArgs(
                where,
                self._image("zookeeper"),
                settings.zookeeper,
                self._platform.storage["zookeeper"],
                settings.store_metrics,
            )
            address = Zookeeper("zookeeper", zookeeper, self._after()).address
        kafka = KafkaArgs(
            where,
            self._image("kafka"),
            settings.kafka,
            self._platform.storage["kafka"],
            address,
            settings.store_metrics,
        )
        return Kafka("kafka", kafka, self._after())

    def _cassandra(self) -> Cassandra:
        args = CassandraArgs(
            self._where(self._settings.nodes.work[:1], STORES),
            self._image("cassandra"),
            self._settings.cassandra,
            self._platform.storage["cassandra"],
            self._secrets.passwords["cassandra"],
            self._settings.store_metrics,
        )
        return Cassandra("cassandra", args, self._after())

    def _minio(self) -> Minio:
        args = MinioArgs(
            where=self._where(self._settings.nodes.front[:1], STORES),
            image=self._image("minio"),
            size=self._settings.minio,
            storage=self._platform.storage["minio"],
            root_password=self._secrets.passwords["minio-root"],
            password=self._secrets.passwords["minio"],
            keeper_password=self._secrets.passwords["minio-backup"],
            keep_days=self._settings.backups.keep_days,
        )
        return Minio("minio", args, self._after())

    def _redis(self) -> Redis:
        args = RedisArgs(
            self._where(self._settings.nodes.work, SERVICES),
            self._image("redis"),
            self._settings.redis,
            self._secrets.passwords["redis"],
        )
        return Redis("redis", args, self._after())

    def _consumers(
        self, cassandra: Cassandra, minio: Minio, keys: own.Keys, migration: own.Migration
    ) -> None:
        settings = self._settings
        after: list[pulumi.Resource] = [migration]
        if settings.llm.simulated:
            gemini = self._role(settings.nodes.work, [keys.llm], settings.gemini, [])
            after.append(own.Gemini("gemini", gemini, self._after()))
        for name, consumer in settings.consumers.items():
            most = settings.most_of(consumer)
            scaled = most > consumer.replicas
            secrets = [cassandra.login]
            if name in ASKING:
                secrets.append(keys.llm)
            if name == "description":
                secrets.append(minio.login)
            pods = self._role(
                settings.nodes.work,
                secrets,
                consumer,
                after,
                replicas=None if scaled else consumer.replicas,
            )
            worker = own.Worker(name, own.WorkerArgs(name, pods), self._after())
            if scaled and settings.scaling != "none":
                scaling = ScalingArgs(
                    namespace=self._platform.namespaces[NAMESPACE],
                    target=name,
                    by=settings.scaling,
                    least=consumer.replicas,
                    most=most,
                    lag=consumer.lag,
                    brokers=f"kafka.{NAMESPACE}.svc.cluster.local:9092",
                    topics=CONSUMED[name],
                    group=name,
                    after=(worker,),
                )
                Scaling(f"{name}-scaling", scaling, self._options())

    def _traefik(self, backend: own.Backend) -> Traefik:
        site, settings = self._site, self._settings
        args = TraefikArgs(
            where=Where(self._platform.namespaces[EDGE_NAMESPACE], settings.nodes.front, SERVICES),
            image=self._image("traefik"),
            size=settings.traefik,
            hosts=[settings.domain, *_own_names(site)],
            upstream=backend.url,
            addresses=[str(site.hosts[name].address) for name in settings.nodes.front],
            certificate=self._secrets.certificate,
            limits=settings.limits,
            after=[backend],
        )
        return Traefik("traefik", args, self._after())

    def _tunnel(self, traefik: Traefik) -> pulumi.Output[str] | None:
        settings = self._settings
        if settings.tunnel.by == "none":
            return None
        namespace = self._platform.namespaces[NAMESPACE]
        simulation = Simulation(
            Where(namespace, settings.nodes.front, SERVICES),
            self._image("traefik"),
            settings.traefik,
            self._secrets.certificate,
        )
        args = TunnelArgs(
            namespace=namespace,
            by=settings.tunnel.by,
            url=settings.tunnel.url or _TUNNEL,
            upstream=_GATEWAY,
            upstream_name=settings.domain,
            simulation=simulation if settings.tunnel.by == "simulated" else None,
            after=[traefik],
        )
        return Tunnel("tunnel", args, self._after()).url

    def _prometheus(self) -> Prometheus:
        args = PrometheusArgs(
            self._where(self._settings.nodes.work, BATCH),
            self._image("prometheus"),
            self._settings.prometheus,
            self._edges,
        )
        return Prometheus("prometheus", args, self._after())

    def _backups(self, cassandra: Cassandra, minio: Minio, migration: own.Migration) -> None:
        settings = self._settings
        CassandraBackup(
            "backup-cassandra",
            CassandraBackupArgs(
                self._where(settings.nodes.work, BATCH),
                self._image(OWN_IMAGE),
                self._text,
                settings.backups.at,
                cassandra.login,
                minio.keeper,
                [migration],
            ),
            self._after(),
        )
        PicturesBackup(
            "backup-pictures",
            PicturesBackupArgs(
                self._where(settings.nodes.work[:1], BATCH),
                self._image("minio"),
                settings.backups,
                self._platform.storage["pictures-copy"],
                minio.keeper,
                [minio],
            ),
            self._after(),
        )

    def _role(  # noqa: PLR0913 - each is one thing to say
        self,
        nodes: Sequence[str],
        secrets: Sequence[Secret],
        size: Size,
        after: Sequence[pulumi.Resource],
        priority: str = SERVICES,
        *,
        replicas: int | None = 1,
    ) -> RoleArgs:
        where, image = self._where(nodes, priority), self._image(OWN_IMAGE)
        return RoleArgs(where, image, self._text, secrets, size, replicas, after)

    def _where(self, nodes: Sequence[str], priority: str) -> Where:
        return Where(self._platform.namespaces[NAMESPACE], nodes, priority)

    def _image(self, kind: str) -> Image:
        """The site's registry's where it has one, else the settings', else the public one."""
        registry = self._site.registry
        if registry is not None and kind in registry.images:
            return Image(f"{registry.endpoint}/{registry.images[kind]}", own=True)
        return Image(self._settings.images.get(kind) or IMAGES[kind])

    def _options(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[self._provider])

    def _after(self) -> pulumi.ResourceOptions:
        """Nothing starts before it is said who may connect to it."""
        return pulumi.ResourceOptions(
            providers=[self._provider], depends_on=[self._platform, self._network]
        )


def _own_names(site: Site) -> list[str]:
    """Names of the gateway's that are none of DNS: its addresses, the forward's of a sandbox."""
    found = [str(site.hosts[site.gateway].address)]
    return [*found, "localhost", "127.0.0.1"] if site.sandbox is not None else found
