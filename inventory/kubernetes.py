"""A site that is a cluster: what Kubernetes is to be there, and where its images come from."""

from __future__ import annotations

from ipaddress import IPv4Network

from pydantic import BaseModel, ConfigDict, Field

CONTROL_PLANE, NODE = "control-plane", "node"
"""The kinds of services that make a cluster."""

NODE_PREFIX = 24
"""Of each node's share of the pods' network: 254 addresses for the kubelet's 110 pods."""

IMAGES = {
    **{
        name: f"registry.k8s.io/{name}"
        for name in (
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
            *("etcd", "pause"),
        )
    },
    "coredns": "registry.k8s.io/coredns/coredns",
    "kafka": "docker.io/apache/kafka",
    "zookeeper": "docker.io/library/zookeeper",
    "cassandra": "docker.io/library/cassandra",
    "traefik": "docker.io/library/traefik",
    "fixai": "hearth/fixai",
}
"""What a cluster's pods run, beside images of the catalogue of services: by name, without tags.

A site's registry may serve each of them; the first seven are Kubernetes' own.
"""


class Kubernetes(BaseModel):
    """The cluster that a site's machines make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(
        default="1.33.0", pattern=r"^1\.\d+\.\d+$", description="of Kubernetes; a minor's patches"
    )
    pods: IPv4Network = Field(
        default=IPv4Network("10.244.0.0/16"), description="each node has a /24 of it"
    )
    services: IPv4Network = Field(
        default=IPv4Network("10.96.0.0/16"), description="addresses that exist within it only"
    )

    @property
    def minor(self) -> str:
        """`1.33`: the line of releases, and of the vendor's packages."""
        return self.version.rpartition(".")[0]

    @property
    def dns(self) -> str:
        """The address at which pods ask for names."""
        return str(self.services[10])

    def pods_of(self, index: int) -> IPv4Network:
        """The share of the pods' network that a node has, by its place among the site's nodes."""
        step = 1 << (self.pods.max_prefixlen - NODE_PREFIX)
        return IPv4Network((int(self.pods.network_address) + index * step, NODE_PREFIX))
