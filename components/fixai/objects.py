"""The objects around a workload's pods: account, service, budget, claim, settings, secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    Service,
    ServiceAccount,
)
from pulumi_kubernetes.core.v1 import Secret as SecretObject
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from components.fixai.pods import (
    Document,
    Pod,
    Secret,
    claimed,
    digest,
    metadata,
    quantity,
    selector,
    spread,
    template,
)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a workload keeps its data.

    Attributes:
        size_bytes: what the scheduler counts; a folder of a node is not limited to it.
        storage_class: of the volume.
        volume: the volume's name; any that fits, if None.
    """

    size_bytes: int
    storage_class: pulumi.Input[str]
    volume: pulumi.Input[str] | None = None


class Objects:
    """Makes the objects of one workload: children of a component, called as it and their subject.

    Args:
        component: whose children they are.
        name: the component's.
        workload: what the objects are called in the cluster.
        marks: labels that they carry beside the usual ones.
    """

    def __init__(
        self,
        component: pulumi.ComponentResource,
        name: str,
        workload: str,
        namespace: pulumi.Input[str],
        marks: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._marks = marks
        self._name = name
        self._workload = workload
        self._namespace = namespace
        self._child = pulumi.ResourceOptions(parent=component)

    def account(self) -> ServiceAccount:
        """Whom the pods are in the cluster: somebody without a token."""
        return ServiceAccount(
            f"{self._name}-account",
            metadata=self._metadata(),
            automount_service_account_token=False,
            opts=self._child,
        )

    def settings(self, files: Mapping[str, pulumi.Input[str]]) -> ConfigMap:
        """Files of the workload's configuration."""
        return ConfigMap(
            f"{self._name}-settings", metadata=self._metadata(), data=dict(files), opts=self._child
        )

    def secret(self, name: str, values: Mapping[str, pulumi.Input[str]]) -> Secret:
        """A secret, its values marked as such whether they were or not."""
        hidden = {key: pulumi.Output.secret(value) for key, value in values.items()}
        made = SecretObject(
            f"{self._name}-secret-{name}",
            metadata=self._metadata(name),
            string_data=hidden,
            opts=self._child,
        )
        # Of the values, and after the object: who mounts it finds it there.
        found = digest(*hidden.values())
        public = pulumi.Output.all(found, made.id).apply(lambda both: str(both[0]))
        return Secret(name, tuple(values), public)

    def claim(self, storage: Storage, name: str | None = None) -> PersistentVolumeClaim:
        """A volume of the workload's own."""
        bound = {} if storage.volume is None else {"volumeName": storage.volume}
        return PersistentVolumeClaim(
            f"{self._name}-claim",
            metadata=self._metadata(name),
            spec={
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage.storage_class,
                "resources": {"requests": {"storage": quantity(storage.size_bytes)}},
                **bound,
            },
            opts=self._child,
        )

    def service(
        self,
        ports: Mapping[str, int],
        *,
        each: bool = False,
        public: Mapping[int, int] = MappingProxyType({}),
        **more: object,
    ) -> Service:
        """The address that the workload has in the cluster.

        Args:
            ports: by name; the pods' own have the same names.
            each: whether its name leads to each pod, called `NAME-pods`, rather than to one
                address for all of them.
            public: the service's ports, where they are others than the pods'.
            more: what else it is to have.
        """
        name = f"{self._workload}-pods" if each else self._workload
        headless: Document = {"clusterIP": "None"} if each else {}
        return Service(
            f"{self._name}-{'pods' if each else 'service'}",
            metadata=self._metadata(name),
            spec={
                "selector": selector(self._workload)["matchLabels"],
                "ports": [
                    {
                        "name": n,
                        "port": public.get(port, port),
                        "targetPort": n,
                        "protocol": "TCP",
                    }
                    for n, port in ports.items()
                ],
                **headless,
                **more,
            },
            opts=self._child,
        )

    def budget(self) -> PodDisruptionBudget:
        """Nobody who empties a node takes more than one pod of the workload at a time."""
        return PodDisruptionBudget(
            f"{self._name}-budget",
            metadata=self._metadata(),
            spec={
                "maxUnavailable": 1,
                "selector": selector(self._workload),
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
            opts=self._child,
        )

    def stateful_set(
        self, pod: Pod, storage: Storage, after: list[pulumi.Resource], volume: str = "data"
    ) -> StatefulSet:
        """One pod that keeps its data in a claim, shown to it as the volume of that name."""
        claim = self.claim(storage)
        own = self._template(pod)
        own["spec"]["volumes"].append({"name": volume, **claimed(self._workload)})
        return StatefulSet(
            f"{self._name}-stateful-set",
            metadata=self._metadata(),
            spec={
                "serviceName": self._workload,
                # Two pods would need a folder each, and three nodes to agree.
                "replicas": 1,
                "selector": selector(self._workload),
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate"},
                "template": own,
            },
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[claim, *after])
            ),
        )

    def deployment(
        self,
        pod: Pod,
        after: list[pulumi.Resource],
        *,
        replicas: int | None = 1,
        one_at_a_time: bool = False,
    ) -> Deployment:
        """Pods that keep nothing.

        Args:
            pod: what each is.
            after: what has to be there before.
            replicas: None where something else decides.
            one_at_a_time: whether an old pod is gone before a new one comes.
        """
        own = self._template(pod)
        own["spec"] |= spread(pod.name)
        rolling = {"maxUnavailable": 0, "maxSurge": 1}
        strategy: Document = {"type": "RollingUpdate", "rollingUpdate": rolling}
        if one_at_a_time:
            strategy = {"type": "Recreate"}
        return Deployment(
            f"{self._name}-deployment",
            metadata=self._metadata(),
            spec={
                **({} if replicas is None else {"replicas": replicas}),
                "revisionHistoryLimit": 3,
                "progressDeadlineSeconds": 300,
                "selector": selector(self._workload),
                "strategy": strategy,
                "template": own,
            },
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=after)
            ),
        )

    def _template(self, pod: Pod) -> Document:
        found = template(pod)
        found["metadata"]["labels"] |= self._marks
        return found

    def _metadata(self, name: str | None = None) -> Document:
        found = metadata(name or self._workload, self._namespace, self._workload)
        return found | {"labels": {**found["labels"], **self._marks}}
