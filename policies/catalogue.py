"""All policies, in the order of the documentation."""

from __future__ import annotations

from policies.graph import Policy
from policies.rules import cluster, data, edge, identity, keeping, network, storage

POLICIES: tuple[Policy, ...] = (
    *network.POLICIES,
    *cluster.POLICIES,
    *data.POLICIES,
    *storage.POLICIES,
    *keeping.POLICIES,
    *edge.POLICIES,
    *identity.POLICIES,
)
