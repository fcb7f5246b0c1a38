"""Who may do what: named actions on named resources."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Fault, Graph, Policy, Resource
from policies.statements import TOO_MUCH, loose_federation, open_to_everybody, wildcards

POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY = "aws:kms/key:Key"
TOPIC_POLICY, QUEUE_POLICY = "aws:sns/topicPolicy:TopicPolicy", "aws:sqs/queuePolicy:QueuePolicy"
REPOSITORY_POLICY = "aws:ecr/repositoryPolicy:RepositoryPolicy"
VAULT_POLICY = "aws:backup/vaultPolicy:VaultPolicy"


def identities_name_what_they_may(policy: Resource, _graph: Graph) -> Iterator[Fault]:
    """Policies name actions and resources; what may not do so has its reason in ON_EVERYTHING."""
    remedy = "name actions and ARNs, or give the reason in policies/statements.py"
    paths = ["policy"]
    if policy.type == ROLE:
        paths = [f"{at}.policy" for at in policy.each("inlinePolicies")]
    for path in paths:
        for what in wildcards(policy.document(path)):
            yield Fault(what, remedy)


def roles_trust_somebody(role: Resource, _graph: Graph) -> Iterator[Fault]:
    """A role is taken by whom it names."""
    trust = role.document("assumeRolePolicy")
    for what in (*open_to_everybody(trust), *loose_federation(trust)):
        yield Fault(what, "name the service, the account, or the repository and environment")


def roles_have_no_policies_of_administrators(given: Resource, _graph: Graph) -> Iterator[Fault]:
    """AWS's own policies for people are not given to programs."""
    arn = str(given.get("policyArn", ""))
    if arn.startswith("arn:aws:iam::aws:policy/") and arn.endswith(TOO_MUCH):
        yield Fault(f"gives {arn.rpartition('/')[2]}", "write a policy of what is needed")


def resources_are_not_everybodys(resource: Resource, _graph: Graph) -> Iterator[Fault]:
    """A resource's own policy lets in whom it names."""
    for what in open_to_everybody(resource.document("policy")):
        yield Fault(what, "name the accounts or services, or add a condition")


POLICIES = (
    Policy(identities_name_what_they_may, (POLICY, ROLE_POLICY, ROLE)),
    Policy(roles_trust_somebody, (ROLE,)),
    Policy(roles_have_no_policies_of_administrators, (ATTACHMENT,)),
    Policy(
        resources_are_not_everybodys,
        (KEY, TOPIC_POLICY, QUEUE_POLICY, REPOSITORY_POLICY, VAULT_POLICY),
    ),
)
