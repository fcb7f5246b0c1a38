"""Each promise is kept by the stack as it is, and its breach is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from inventory.cloud.loading import load_environment
from inventory.paths import PROJECT
from policies.catalogue import POLICIES
from policies.graph import UNKNOWN, Finding, Graph, NotYetKnownError, Policy, Resource, judge
from policies.statements import ON_EVERYTHING, loose_federation, open_to_everybody, wildcards
from tests.policies.stack import ENVIRONMENTS, graph_of

BY_NAME = {policy.name: policy for policy in POLICIES}


def found(graph: Graph, *policies: Policy) -> list[Finding]:
    """What is wrong with a graph."""
    return judge(graph, policies or POLICIES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stack_keeps_every_promise(environment: str) -> None:
    assert [str(one) for one in found(graph_of(environment))] == []


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_policy_is_about_something_that_the_stack_has(policy: Policy) -> None:
    assert any(policy.concerns(resource) for resource in graph_of("production").resources)


def test_every_policy_has_a_name_of_its_own_and_says_what_it_promises() -> None:
    assert len(BY_NAME) == len(POLICIES)
    assert [policy.name for policy in POLICIES if not policy.promise.endswith(".")] == []


def test_the_page_lists_every_policy_with_its_promise() -> None:
    page = (PROJECT / "docs" / "reference" / "policies.md").read_text()
    assert [p.name for p in POLICIES if f"| {p.name} | {p.promise} |" not in page] == []
    assert page.count("\n| ") == len(POLICIES) + 2


def test_a_developers_environment_is_not_asked_for_what_it_does_without() -> None:
    strict = Graph(graph_of("dev").resources, environment=None)
    names = {one.policy.name for one in found(strict)}
    assert names >= {"databases-stand-in-two-zones", "clusters-are-protected", "vaults-are-locked"}
    assert found(graph_of("dev")) == []


Change = Callable[[dict[str, Any]], None]


def _set(path: str, value: Any) -> Change:
    def change(properties: dict[str, Any]) -> None:
        *above, last = path.split(".")
        at: Any = properties
        for step in above:
            at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
        at[last] = value

    return change


def _without(name: str) -> Change:
    return lambda properties: properties.pop(name, None)


def _policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALL = _policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
EVERYBODY = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
REST, TRANSIT = "atRestEncryptionEnabled", "transitEncryptionEnabled"

BREACHES: list[tuple[str, str, Change, str]] = [
    (
        "security-groups-are-closed",
        "SecurityGroupIngressRule",
        _set("cidrIpv4", "0.0.0.0/0"),
        "is open to 0.0.0.0/0 on port",
    ),
    (
        "vpcs-have-an-empty-default-group",
        "DefaultSecurityGroup",
        _set("ingress", [{"protocol": "-1", "self": True}]),
        "has rules",
    ),
    ("subnets-give-no-public-addresses", "Subnet", _set("mapPublicIpOnLaunch", True), "public"),
    (
        "clusters-are-not-open-to-the-world",
        "eks/cluster:Cluster",
        _set("vpcConfig.endpointPublicAccess", True),
        "its API is open to 0.0.0.0/0",
    ),
    (
        "clusters-know-access-entries-alone",
        "eks/cluster:Cluster",
        _set("accessConfig.authenticationMode", "API_AND_CONFIG_MAP"),
        "its authentication mode is API_AND_CONFIG_MAP",
    ),
    (
        "clusters-log-everything",
        "eks/cluster:Cluster",
        _set("enabledClusterLogTypes", ["api", "authenticator", "scheduler"]),
        "does not log audit, controllerManager",
    ),
    (
        "clusters-encrypt-secrets",
        "eks/cluster:Cluster",
        _without("encryptionConfig"),
        "its secrets are not encrypted",
    ),
    ("clusters-are-protected", "eks/cluster:Cluster", _set("deletionProtection", False), "once"),
    (
        "machines-ask-for-tokens",
        "LaunchTemplate",
        _set("metadataOptions.httpPutResponseHopLimit", 2.0),
        "reaches containers (hop limit 2)",
    ),
    (
        "machines-ask-for-tokens",
        "LaunchTemplate",
        _set("metadataOptions.httpTokens", "optional"),
        "IMDSv1",
    ),
    (
        "machines-encrypt-their-disks",
        "LaunchTemplate",
        _set("blockDeviceMappings.0.ebs.encrypted", "false"),
        "its disk /dev/xvda is not encrypted",
    ),
    ("nodes-have-a-launch-template", "NodeGroup", _without("launchTemplate"), "no launch"),
    ("databases-are-encrypted", "rds/instance:Instance", _set("storageEncrypted", False), "not"),
    ("databases-are-private", "rds/instance:Instance", _set("publiclyAccessible", True), "public"),
    ("databases-stand-in-two-zones", "rds/instance:Instance", _set("multiAz", False), "one zone"),
    (
        "databases-are-backed-up",
        "rds/instance:Instance",
        _set("backupRetentionPeriod", 1.0),
        "for 1 days, 14 are promised",
    ),
    ("databases-are-protected", "rds/instance:Instance", _set("deletionProtection", False), "once"),
    (
        "databases-keep-no-password-of-ours",
        "rds/instance:Instance",
        _without("manageMasterUserPassword"),
        "its password is given by the stack",
    ),
    (
        "databases-have-own-parameters",
        "rds/instance:Instance",
        _without("parameterGroupName"),
        "default parameters",
    ),
    (
        "databases-force-tls",
        "rds/parameterGroup:ParameterGroup",
        _set("parameters.0.value", "0"),
        "lets clients come without TLS",
    ),
    ("caches-are-encrypted", "ReplicationGroup", _set(REST, False), "not encrypted"),
    ("caches-are-encrypted", "ReplicationGroup", _set(TRANSIT, False), "plain text"),
    ("caches-are-encrypted", "ReplicationGroup", _without("authToken"), "asks nobody"),
    ("caches-fail-over", "ReplicationGroup", _set("multiAzEnabled", False), "takes over"),
    ("caches-are-backed-up", "ReplicationGroup", _set("snapshotRetentionLimit", 0.0), "7 days"),
    (
        "buckets-are-not-public",
        "BucketPublicAccessBlock",
        _set("blockPublicPolicy", False),
        "(blockPublicPolicy not set)",
    ),
    ("buckets-refuse-plain-text", "BucketPolicy", _set("policy", _policy()), "without TLS"),
    ("buckets-keep-versions", "BucketVersioning", _set("versioningConfiguration", {}), "versions"),
    ("vaults-are-encrypted", "backup/vault:Vault", _without("kmsKeyArn"), "AWS's own key"),
    ("vaults-are-locked", "VaultLockConfiguration", _set("minRetentionDays", 1.0), "7 are"),
    ("keys-rotate", "kms/key:Key", _without("enableKeyRotation"), "never renewed"),
    ("keys-have-a-policy", "kms/key:Key", _without("policy"), "default policy"),
    ("logs-go-after-a-time", "LogGroup", _without("retentionInDays"), "for ever"),
    ("logs-are-encrypted", "LogGroup", _without("kmsKeyId"), "AWS's own key"),
    ("messages-are-encrypted", "sqs/queue:Queue", _without("sqsManagedSseEnabled"), "messages"),
    ("secrets-are-encrypted", "secret:Secret", _without("kmsKeyId"), "AWS's own key"),
    ("images-cannot-be-replaced", "Repository", _set("imageTagMutability", "MUTABLE"), "moved"),
    ("images-are-scanned", "Repository", _without("imageScanningConfiguration"), "not scanned"),
    ("images-are-encrypted", "Repository", _without("encryptionConfigurations"), "own key"),
    (
        "tags-say-whose-it-is",
        "ec2/vpc:Vpc",
        _set("tags", {"Owner": "me"}),
        "Environment, ManagedBy",
    ),
    (
        "distributions-speak-tls",
        "Distribution",
        _set("viewerCertificate.minimumProtocolVersion", "TLSv1.1_2016"),
        "speaks TLSv1.1_2016 with viewers",
    ),
    (
        "distributions-speak-tls",
        "Distribution",
        _set("defaultCacheBehavior.viewerProtocolPolicy", "allow-all"),
        "answers without TLS",
    ),
    ("distributions-have-a-firewall", "Distribution", _without("webAclId"), "no firewall"),
    ("balancers-are-internal", "LoadBalancer", _set("internal", False), "to the internet"),
    ("balancers-drop-bad-headers", "LoadBalancer", _without("dropInvalidHeaderFields"), "passes"),
    ("balancers-log", "LoadBalancer", _without("accessLogs"), "no access logs"),
    (
        "balancers-are-protected",
        "LoadBalancer",
        _set("enableDeletionProtection", False),
        "once",
    ),
    (
        "listeners-speak-tls",
        "Listener",
        _set("sslPolicy", "ELBSecurityPolicy-2016-08"),
        "its TLS policy is ELBSecurityPolicy-2016-08",
    ),
    (
        "listeners-speak-tls",
        "Listener",
        lambda properties: properties.update(protocol="HTTP"),
        "answers without TLS",
    ),
    ("identities-name-what-they-may", "RolePolicy", _set("policy", ALL), "allows *"),
    (
        "roles-trust-somebody",
        "role:Role",
        _set("assumeRolePolicy", _policy(EVERYBODY)),
        "everybody",
    ),
    (
        "roles-have-no-policies-of-administrators",
        "RolePolicyAttachment",
        _set("policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
        "gives AdministratorAccess",
    ),
    ("resources-are-not-everybodys", "kms/key:Key", _set("policy", _policy(EVERYBODY)), "in"),
]
"""The policy, the first resource of a type, what is changed in it, and what the fault says."""

GONE: list[tuple[str, str]] = [
    ("vpcs-have-an-empty-default-group", "DefaultSecurityGroup"),
    ("vpcs-log-their-flows", "FlowLog"),
    ("buckets-are-not-public", "BucketPublicAccessBlock"),
    ("buckets-refuse-plain-text", "BucketPolicy"),
    ("buckets-are-encrypted", "BucketServerSideEncryptionConfiguration"),
    ("buckets-keep-versions", "BucketVersioning"),
    ("buckets-have-a-life-cycle", "BucketLifecycleConfiguration"),
    ("vaults-are-locked", "VaultLockConfiguration"),
    ("distributions-log", "LogDeliverySource"),
]
"""The policy, and the type whose first resource is left out."""


def _first(graph: Graph, type_: str) -> Resource:
    return next(one for one in graph.resources if one.type.endswith(type_))


@pytest.mark.parametrize(
    ("policy", "type_", "change", "says"), BREACHES, ids=[f"{b[0]}-{b[3]}" for b in BREACHES]
)
def test_a_breach_is_found(policy: str, type_: str, change: Change, says: str) -> None:
    graph = graph_of("production")
    chosen = _first(graph, type_)
    properties = deepcopy(dict(chosen.properties))
    change(properties)
    broken = replace(chosen, properties=properties)
    resources = [broken if one is chosen else one for one in graph.resources]
    faults = found(Graph(resources, graph.environment), BY_NAME[policy])
    assert [one.fault.what for one in faults if says in one.fault.what]
    assert all(one.fault.remedy for one in faults)


@pytest.mark.parametrize(("policy", "type_"), GONE, ids=[policy for policy, _ in GONE])
def test_what_is_left_out_is_found(policy: str, type_: str) -> None:
    graph = graph_of("production")
    missing = _first(graph, type_)
    resources = [one for one in graph.resources if one is not missing]
    assert len(found(Graph(resources, graph.environment), BY_NAME[policy])) == 1


def test_every_policy_has_a_breach() -> None:
    assert {name for name, *_ in BREACHES} | {name for name, _ in GONE} == BY_NAME.keys()


def test_what_is_not_known_yet_is_not_judged() -> None:
    key = Resource("urn:key", "aws:kms/key:Key", "key", {"enableKeyRotation": UNKNOWN})
    assert found(Graph([key]), BY_NAME["keys-rotate"]) == []
    with pytest.raises(NotYetKnownError):
        key.get("enableKeyRotation")
    group = Resource("urn:logs", "aws:cloudwatch/logGroup:LogGroup", "logs", {"kmsKeyId": UNKNOWN})
    assert found(Graph([group]), BY_NAME["logs-are-encrypted"]) == []


def test_wildcards_pass_only_where_there_is_a_reason() -> None:
    def allowed(action: str, resource: str) -> list[str]:
        statement = {"Sid": "S", "Effect": "Allow", "Action": action, "Resource": resource}
        return list(wildcards({"Statement": statement}))

    assert allowed("s3:GetObject", "arn:aws:s3:::one/*") == []
    assert allowed("s3:GetObject", "*") == ["S allows s3:GetObject on every resource (*)"]
    assert allowed("s3:Put*", "arn:aws:s3:::one/*") == ["S allows s3:Put*"]
    assert allowed("s3:Get*", "arn:aws:s3:::one/*") == []
    assert all(allowed(action, "*") == [] for action in ON_EVERYTHING)


def test_everybody_is_kept_out_by_a_condition_that_says_who_and_by_no_other() -> None:
    def lets_in(condition: dict[str, Any]) -> bool:
        statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Condition": condition}
        return bool(list(open_to_everybody({"Statement": [statement]})))

    assert not lets_in({"StringEquals": {"kms:CallerAccount": "123456789012"}})
    assert lets_in({"Bool": {"aws:SecureTransport": "true"}})
    assert lets_in({})


def test_denials_may_be_as_wide_as_they_like() -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    assert list(wildcards({"Statement": [statement]})) == []


@pytest.mark.parametrize(
    ("subject", "loose"),
    [
        ("repo:example/llm-service:environment:production", False),
        ("repo:example/*:environment:production", True),
        ("*", True),
        (None, True),
    ],
)
def test_github_is_trusted_for_one_repository(subject: str | None, loose: bool) -> None:  # noqa: FBT001 - pytest's
    condition = {"StringLike": {"token.actions.githubusercontent.com:sub": subject}}
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/x"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition if subject else {},
    }
    assert bool(list(loose_federation({"Statement": [trust]}))) is loose


def test_settings_decide_what_is_asked_of_the_database() -> None:
    environment = load_environment("production")
    fewer = environment.model_copy(
        update={"database": environment.database.model_copy(update={"backup_days": 20})}
    )
    graph = Graph(graph_of("production").resources, fewer)
    (one,) = found(graph, BY_NAME["databases-are-backed-up"])
    assert one.fault.what == "keeps backups for 14 days, 20 are promised"
