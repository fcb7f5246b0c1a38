"""The Kubernetes cluster: who reaches its API, who may enter, what it writes down and encrypts."""

from __future__ import annotations

from typing import Any

from hearth.audit.look import Look


def judge(look: Look) -> None:
    """EKS clusters with the environment's tag."""
    client = look.client("eks")
    names = look.all("eks", "list_clusters", "clusters")
    described = [client.describe_cluster(name=name)["cluster"] for name in names]
    clusters = [cluster for cluster in described if look.ours(cluster.get("tags", {}))]
    look.found("cluster", [cluster["name"] for cluster in clusters])
    for cluster in clusters:
        _endpoint(look, cluster)
        _access(look, cluster)
        _logs(look, cluster)
        _encryption(look, cluster)


def _endpoint(look: Look, cluster: dict[str, Any]) -> None:
    name, vpc = cluster["name"], cluster["resourcesVpcConfig"]
    promised = {str(network) for network in look.environment.cluster.public_from}
    opened = set(vpc.get("publicAccessCidrs", ["0.0.0.0/0"])) if vpc["endpointPublicAccess"] else ()
    look.expect(
        name,
        "API endpoint",
        promised.issuperset(opened),
        f"is open to {', '.join(sorted(set(opened) - promised))}",
        "close the public endpoint, or name the networks in cluster.public_from",
    )
    look.expect(
        name,
        "API endpoint",
        vpc["endpointPrivateAccess"],
        "is not to be reached within the VPC",
        "turn on the private endpoint",
    )


def _access(look: Look, cluster: dict[str, Any]) -> None:
    name, settings = cluster["name"], look.environment.cluster
    mode = cluster.get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP")
    look.expect(
        name,
        "authentication",
        mode == "API",
        f"its authentication mode is {mode}",
        "set it to API, which cannot be undone",
    )
    look.expect(
        name,
        "version",
        cluster["version"] == settings.version,
        f"is Kubernetes {cluster['version']}, {settings.version} is promised",
        "`pulumi up` upgrades it, or write the version into cluster.version",
    )
    look.expect(
        name,
        "deletion protection",
        not look.environment.protected or cluster.get("deletionProtection"),
        "AWS would delete it when asked once",
        "turn on deletion protection",
    )


def _logs(look: Look, cluster: dict[str, Any]) -> None:
    enabled = {
        kind
        for entry in cluster.get("logging", {}).get("clusterLogging", [])
        if entry["enabled"]
        for kind in entry["types"]
    }
    missing = sorted(set(look.environment.cluster.logs) - enabled)
    look.expect(
        cluster["name"],
        "control plane logs",
        not missing,
        f"does not log {', '.join(missing)}",
        "turn them on",
    )


def _encryption(look: Look, cluster: dict[str, Any]) -> None:
    look.expect(
        cluster["name"],
        "encryption",
        any("secrets" in entry["resources"] for entry in cluster.get("encryptionConfig", [])),
        "its secrets are not encrypted with a key of yours",
        "associate an encryption configuration, which cannot be undone",
    )
