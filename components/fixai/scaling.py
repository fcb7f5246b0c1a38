"""How many pods of a consumer there are: by how far it lags, or by what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler

from components.fixai.pods import Document, metadata

_CPU_PERCENT = 80
_QUIET_SECONDS = 120
"""So long there has to be less to do before a pod is stopped."""


@dataclass(frozen=True, slots=True)
class ScalingArgs:
    """How a deployment scales.

    Attributes:
        target: the deployment's name.
        by: `keda` needs KEDA in the cluster, `hpa` metrics-server.
        least: pods there are always.
        most: pods there are at most; no more than a topic has partitions.
        lag: events that wait for each pod before there is another one.
        brokers: Kafka's `name:port`, as KEDA reaches it from its own namespace.
        topics: what is consumed; the one that lags most decides.
        group: by whom.
        after: the deployment.
    """

    namespace: pulumi.Input[str]
    target: str
    by: Literal["keda", "hpa"]
    least: int
    most: int
    lag: int
    brokers: str
    topics: Sequence[str]
    group: str
    after: tuple[pulumi.Resource, ...] = ()


class Scaling(pulumi.ComponentResource):
    """The same numbers of pods, whatever decides between them."""

    def __init__(
        self, name: str, args: ScalingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Scaling", name, None, opts)
        own = pulumi.ResourceOptions(parent=self, depends_on=list(args.after))
        described = metadata(args.target, args.namespace)
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": args.target}
        if args.by == "hpa":
            HorizontalPodAutoscaler(
                f"{name}-autoscaler",
                metadata=described,
                spec={
                    "scaleTargetRef": target,
                    "minReplicas": args.least,
                    "maxReplicas": args.most,
                    "metrics": [_cpu()],
                    "behavior": _behaviour(),
                },
                opts=own,
            )
        else:
            CustomResource(
                f"{name}-scaled-object",
                api_version="keda.sh/v1alpha1",
                kind="ScaledObject",
                metadata=described,
                spec={
                    "scaleTargetRef": target,
                    "minReplicaCount": args.least,
                    "maxReplicaCount": args.most,
                    "pollingInterval": 10,
                    "cooldownPeriod": _QUIET_SECONDS,
                    # While Kafka does not tell, those that are there always go on.
                    "fallback": {"failureThreshold": 3, "replicas": args.least},
                    "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behaviour()}},
                    "triggers": [_lag(args, topic) for topic in args.topics],
                },
                opts=own,
            )
        self.register_outputs({})


def _cpu() -> Document:
    target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _behaviour() -> Document:
    """One by one, up soon and down later: each change makes the group share its partitions anew."""
    one = [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    return {
        "scaleUp": {"stabilizationWindowSeconds": 15, "policies": one, "selectPolicy": "Max"},
        "scaleDown": {
            "stabilizationWindowSeconds": _QUIET_SECONDS,
            "policies": one,
            "selectPolicy": "Max",
        },
    }


def _lag(args: ScalingArgs, topic: str) -> Document:
    return {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": args.brokers,
            "consumerGroup": args.group,
            "topic": topic,
            "lagThreshold": str(args.lag),
            "activationLagThreshold": "1",
            "offsetResetPolicy": "earliest",
            "allowIdleConsumers": "false",
            "limitToPartitionsWithLag": "true",
        },
    }
