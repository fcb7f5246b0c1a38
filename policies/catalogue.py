"""All policies, in the order of the documentation."""

from __future__ import annotations

from policies.graph import Policy
from policies.rules import cluster, data, edge, identity, keeping, network, pods, storage

POLICIES: tuple[Policy, ...] = (
    *network.POLICIES,
    *cluster.POLICIES,
    *data.POLICIES,
    *storage.POLICIES,
    *keeping.POLICIES,
    *edge.POLICIES,
    *identity.POLICIES,
)
"""Of what is on AWS."""

IN_CLUSTERS: tuple[Policy, ...] = pods.POLICIES
"""Of what runs in a cluster of Kubernetes, anybody's."""
