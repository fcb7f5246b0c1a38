"""FixAI's own programs: one image, a component for each of its roles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job

from components.fixai.jobs import job
from components.fixai.objects import Objects
from components.fixai.pods import (
    Container,
    Image,
    Pod,
    Probes,
    Secret,
    Where,
    asks,
    configuration,
)
from components.fixai.tunnel import SIMULATED
from inventory.fixai import BACKUPS, PICTURES, FixAI
from inventory.fixai import Pod as Size
from inventory.fixai_edges import OWN
from inventory.units import MIB

BACKEND, OUTBOX, GEMINI, MIGRATION = "backend", "outbox", "gemini", "migrate"
GEMINI_PORT = 8080
_FOLDER = "/etc/fixai"
_DRAIN_SECONDS = 20
"""A role ends within them when it is told to."""


def settings_text(settings: FixAI) -> str:
    """The file that every role reads, `services.fixai.settings.Settings` as JSON.

    What is left out has the names that these components give: hosts, ports, folders.
    """
    hours = -(-int(settings.kafka.retention.total_seconds()) // 3600)
    document = {
        "kafka": {"partitions": settings.kafka.partitions, "retention_hours": hours},
        "objects": {"pictures": PICTURES, "backups": BACKUPS},
        "llm": {
            "base_url": settings.llm.url,
            "model": settings.llm.model,
            "embedding_model": settings.llm.embedding_model,
            "tokens_per_minute": settings.llm.tokens_per_minute,
            "concurrency": settings.llm.concurrency,
        },
        "backend": {
            "picture_bytes": settings.limits.picture,
            "pictures": max(settings.limits.pictures, 1),
            "limits": {"reports_per_hour": settings.limits.reports_per_hour},
        },
    }
    return json.dumps(document, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class RoleArgs:
    """What a role's pods are made of.

    Attributes:
        image: FixAI's.
        settings: the text of its settings.
        secrets: what it may read, no more.
        size: each pod's.
        replicas: pods; None where a scaler decides.
        after: what has to be there before.
    """

    where: Where
    image: Image
    settings: str
    secrets: Sequence[Secret]
    size: Size
    replicas: int | None = 1
    after: Sequence[pulumi.Resource] = ()


@dataclass(frozen=True, slots=True)
class KeysArgs:
    """What the roles share and keep secret.

    Attributes:
        token_key: signs citizens' tokens.
        llm_key: the language model's.
    """

    namespace: pulumi.Input[str]
    token_key: pulumi.Input[str]
    llm_key: pulumi.Input[str]


class Keys(pulumi.ComponentResource):
    """Secrets of no store's; each role mounts those that it uses."""

    token: Secret
    llm: Secret

    def __init__(
        self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Keys", name, None, opts)
        objects = Objects(self, name, BACKEND, args.namespace)
        self.token = objects.secret(BACKEND, {"token-key": args.token_key})
        self.llm = objects.secret("llm", {"api-key": args.llm_key})
        self.register_outputs({})


@dataclass(frozen=True, slots=True)
class WorkerArgs:
    """What a consumer is made of.

    Attributes:
        role: `description`, `clustering` or `incidents`.
        pods: its pods.
    """

    role: str
    pods: RoleArgs


class Backend(pulumi.ComponentResource):
    """The API for citizens, with live updates."""

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Backend", name, None, opts)
        objects = Objects(self, name, BACKEND, args.where.namespace)
        # Traefik has to hear that it goes before it does.
        made = _deployment(objects, BACKEND, args, {"http": OWN}, drain_seconds=5)
        service = objects.service({"http": OWN})
        host = pulumi.Output.all(made.id, service.id, args.where.namespace)
        self.url = host.apply(lambda known: f"http://{BACKEND}.{known[2]}.svc.cluster.local:{OWN}")
        self.register_outputs({"url": self.url})


class Outbox(pulumi.ComponentResource):
    """What publishes the reports that the backend acknowledged."""

    def __init__(
        self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Outbox", name, None, opts)
        objects = Objects(self, name, OUTBOX, args.where.namespace)
        _deployment(objects, OUTBOX, args, {"http": OWN})
        self.register_outputs({})


class Worker(pulumi.ComponentResource):
    """A consumer of events: description, clustering or incidents."""

    deployment: pulumi.Resource

    def __init__(
        self, name: str, args: WorkerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Worker", name, None, opts)
        objects = Objects(self, name, args.role, args.pods.where.namespace)
        self.deployment = _deployment(objects, args.role, args.pods, {"http": OWN})
        self.register_outputs({})


class Gemini(pulumi.ComponentResource):
    """A stand-in for the language model, which answers by rules; its pods say so."""

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Gemini", name, None, opts)
        objects = Objects(self, name, GEMINI, args.where.namespace, {SIMULATED: "true"})
        ports = {"api": GEMINI_PORT, "http": OWN}
        made = _deployment(objects, GEMINI, args, ports)
        objects.service({"api": GEMINI_PORT})
        self.url = made.id.apply(lambda _: f"http://{GEMINI}:{GEMINI_PORT}")
        self.register_outputs({"url": self.url})


class Migration(pulumi.ComponentResource):
    """A job that makes accounts, tables and topics, and ends; again when anything of it changes."""

    job: Job

    def __init__(
        self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Migration", name, None, opts)
        objects = Objects(self, name, MIGRATION, args.where.namespace)
        pod = _pod(MIGRATION, args, {}, ends=True)
        after = [objects.account(), objects.settings({"settings.json": args.settings}), *args.after]
        self.job = job(self, name, pod, after, seconds=600)
        self.register_outputs({})


def _deployment(
    objects: Objects,
    role: str,
    args: RoleArgs,
    ports: dict[str, int],
    drain_seconds: int = 0,
) -> pulumi.CustomResource:
    settings = objects.settings({"settings.json": args.settings})
    pod = _pod(role, args, ports, drain_seconds=drain_seconds)
    made: pulumi.CustomResource = objects.deployment(
        pod, [objects.account(), settings, *args.after], replicas=args.replicas
    )
    # Prometheus finds each pod by this name.
    objects.service({"http": OWN}, each=True, publishNotReadyAddresses=True)
    objects.budget()
    return made


def _pod(
    role: str,
    args: RoleArgs,
    ports: dict[str, int],
    *,
    ends: bool = False,
    drain_seconds: int = 0,
) -> Pod:
    program = Container(
        role,
        args.image,
        args.size,
        arguments=[role],
        ports=ports,
        mounts={_FOLDER: "settings"},
        probes=None if ends else Probes(asks("/readyz", OWN), asks("/healthz", OWN)),
        drain_seconds=drain_seconds,
    )
    return Pod(
        role,
        args.where,
        [program],
        volumes={"settings": configuration(role)},
        secrets=args.secrets,
        settings=[args.settings],
        stop_seconds=drain_seconds + _DRAIN_SECONDS + 10,
        ends=ends,
        scratch_bytes=256 * MIB if role == BACKEND else 64 * MIB,
    )
