"""Identities: of the pipeline that deploys the service, and of the service's own processes.

Nobody here has a key that could be lost: GitHub signs for its jobs, EKS for its pods.

`pulumi up` of this stack is not the pipeline's business. It makes roles and policies, so whoever
runs it can give himself anything; it is run by an administrator of the account, under a role that
the account had before this stack (`cluster.administrators` names it to the cluster), and a stack
that made its own maker could not be made. The deploy role changes what runs, never what it runs on:
images, and the service's namespace of the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.iam import Statement, allow, document, pod_trust
from inventory.cloud.model import Identity as Settings

GITHUB = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
SESSION_SECONDS = 3600
EDIT_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"

PUSH_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
"""Pushing an image, and reading what of it is there already."""


@dataclass(frozen=True, slots=True)
class IdentityArgs:
    """What the identities need.

    Attributes:
        settings: of the environment.
        account: number of the account.
        region: of AWS.
        cluster_name: in which the service runs; an output, so that it is there first.
        repository_arns: of the images that the pipeline pushes.
        database_resource_id: by which IAM knows the database, `db-ABC`.
        secret_arns: of the secrets that the API reads.
        checkpoints_bucket_arn: of the models that API and Ollama read.
        backups_bucket_arn: of the backups that are written.
        data_key_arn: of the key that encrypts secrets and checkpoints.
        backups_key_arn: of the key that encrypts the bucket of backups.
        github_provider_arn: of GitHub's provider, of which an account can have one; None makes it.
        database_user: as whom the API logs in.
        namespace: of the service, in the cluster.
    """

    settings: Settings
    account: pulumi.Input[str]
    region: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    repository_arns: pulumi.Input[Sequence[str]]
    database_resource_id: pulumi.Input[str]
    secret_arns: Sequence[pulumi.Input[str]]
    checkpoints_bucket_arn: pulumi.Input[str]
    backups_bucket_arn: pulumi.Input[str]
    data_key_arn: pulumi.Input[str]
    backups_key_arn: pulumi.Input[str]
    github_provider_arn: pulumi.Input[str] | None = None
    database_user: str = "api"
    namespace: str = "llm"


class Identity(pulumi.ComponentResource):
    """The deploy role, and a role for each workload, all within one boundary.

    The boundary is all that these roles do together, and no more: whoever may change one of them,
    by mistake or not, gives it nothing that none of them has.

    Attributes:
        deploy_role_arn: that jobs of GitHub's environment take.
        boundary_arn: of the permissions boundary.
        workload_role_arns: by the workload's name, which is its service account's too.
    """

    deploy_role_arn: pulumi.Output[str]
    boundary_arn: pulumi.Output[str]
    workload_role_arns: Mapping[str, pulumi.Output[str]]

    def __init__(
        self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Identity", name, None, opts)
        self._prefix = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self)
        deploying, workloads = deploy_statements(args), workload_statements(args)
        boundary = aws.iam.Policy(
            f"{name}-boundary",
            description="All that the roles of the service and its pipeline may ever do",
            policy=pulumi.Output.json_dumps(boundary_document(deploying, workloads)),
            opts=self._opts,
        )
        self.boundary_arn = boundary.arn
        self.deploy_role_arn = self._deploy_role(deploying)
        self.workload_role_arns = {
            workload: self._workload_role(workload, statements)
            for workload, statements in workloads.items()
        }
        self.register_outputs(
            {
                "deploy_role_arn": self.deploy_role_arn,
                "boundary_arn": self.boundary_arn,
                "workload_role_arns": self.workload_role_arns,
            }
        )

    def _role(
        self, subject: str, trust: dict[str, Any], statements: list[Statement]
    ) -> aws.iam.Role:
        """A role within the boundary, and the one policy that it has."""
        name = f"{self._prefix}-{subject}"
        role = aws.iam.Role(
            name,
            assume_role_policy=pulumi.Output.json_dumps(trust),
            permissions_boundary=self.boundary_arn,
            max_session_duration=SESSION_SECONDS,
            opts=self._opts,
        )
        aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.json_dumps(document(*statements)),
            opts=self._opts,
        )
        return role

    def _deploy_role(self, statements: list[Statement]) -> pulumi.Output[str]:
        """The pipeline's role, and what it may edit in the cluster."""
        args = self._args
        role = self._role("deploy", github_trust(self._github(), args.settings), statements)
        arn: pulumi.Output[str] = role.arn
        entry = aws.eks.AccessEntry(
            f"{self._prefix}-deploy",
            cluster_name=args.cluster_name,
            principal_arn=arn,
            type="STANDARD",
            opts=self._opts,
        )
        aws.eks.AccessPolicyAssociation(
            f"{self._prefix}-deploy",
            cluster_name=args.cluster_name,
            principal_arn=entry.principal_arn,
            policy_arn=EDIT_POLICY,
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(
                type="namespace", namespaces=[args.namespace]
            ),
            opts=self._opts,
        )
        return arn

    def _github(self) -> pulumi.Input[str]:
        """GitHub's provider; AWS checks its certificate itself and needs no thumbprint."""
        if self._args.github_provider_arn is not None:
            return self._args.github_provider_arn
        provider = aws.iam.OpenIdConnectProvider(
            f"{self._prefix}-github",
            url=f"https://{GITHUB}",
            client_id_lists=[AUDIENCE],
            opts=self._opts,
        )
        arn: pulumi.Output[str] = provider.arn
        return arn

    def _workload_role(self, workload: str, statements: list[Statement]) -> pulumi.Output[str]:
        """A workload's role, and the association that gives it to its pods."""
        args = self._args
        trust = pod_trust(args.cluster_name, args.namespace, workload)
        role = self._role(workload, trust, statements)
        arn: pulumi.Output[str] = role.arn
        aws.eks.PodIdentityAssociation(
            f"{self._prefix}-{workload}",
            cluster_name=args.cluster_name,
            namespace=args.namespace,
            service_account=workload,
            role_arn=arn,
            opts=self._opts,
        )
        return arn


def github_provider(account: pulumi.Input[str]) -> pulumi.Output[str]:
    """The ARN of GitHub's provider in an account, which has one at most."""
    return pulumi.Output.format("arn:aws:iam::{}:oidc-provider/{}", account, GITHUB)


def github_trust(provider_arn: pulumi.Input[str], settings: Settings) -> dict[str, Any]:
    """Who may take the deploy role: jobs of one environment of one repository.

    The environment, not a branch: GitHub holds its jobs back until whoever reviews it agrees.
    """
    subject = f"repo:{settings.github_repository}:environment:{settings.github_environment}"
    return document(
        {
            "Sid": "GitHub",
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{GITHUB}:aud": AUDIENCE, f"{GITHUB}:sub": subject}},
        }
    )


def deploy_statements(args: IdentityArgs) -> list[Statement]:
    """Pushing images to the service's repositories, and finding the cluster."""
    cluster = pulumi.Output.format(
        "arn:aws:eks:{}:{}:cluster/{}", args.region, args.account, args.cluster_name
    )
    return [
        # A token is for the whole registry; AWS scopes the action to nothing.
        allow("LogIn", ["ecr:GetAuthorizationToken"], "*"),
        allow("Push", PUSH_ACTIONS, args.repository_arns),
        allow("FindCluster", ["eks:DescribeCluster"], cluster),
    ]


def workload_statements(args: IdentityArgs) -> dict[str, list[Statement]]:
    """What each workload may do, by its name."""
    return {
        "api": [
            _log_in(args),
            allow(
                "ReadSecrets",
                ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
                list(args.secret_arns),
            ),
            _use_key("DecryptSecrets", args, args.data_key_arn, "secretsmanager", ["kms:Decrypt"]),
            *_read_checkpoints(args),
        ],
        "ollama": _read_checkpoints(args),
        "backup": _write_backups(args),
    }


def boundary_document(
    deploying: list[Statement], workloads: Mapping[str, list[Statement]]
) -> dict[str, Any]:
    """All statements, each once."""
    every = [*deploying, *(s for statements in workloads.values() for s in statements)]
    return document(*{statement["Sid"]: statement for statement in every}.values())


def _log_in(args: IdentityArgs) -> Statement:
    """Into one database, as one user, with a token instead of a password."""
    user = pulumi.Output.format(
        "arn:aws:rds-db:{}:{}:dbuser:{}/{}",
        args.region,
        args.account,
        args.database_resource_id,
        args.database_user,
    )
    return allow("LogInToDatabase", ["rds-db:connect"], user)


def _read_checkpoints(args: IdentityArgs) -> list[Statement]:
    """Every object of the bucket, which holds nothing but models."""
    bucket = args.checkpoints_bucket_arn
    objects = pulumi.Output.concat(bucket, "/*")
    return [
        allow("ListCheckpoints", ["s3:ListBucket"], bucket),
        allow("ReadCheckpoints", ["s3:GetObject"], objects),
        _use_key("DecryptCheckpoints", args, args.data_key_arn, "s3", ["kms:Decrypt"]),
    ]


def _write_backups(args: IdentityArgs) -> list[Statement]:
    """New ones, in parts; what is there it can neither read nor delete.

    S3 decrypts the parts of a large object when it puts them together.
    """
    bucket = args.backups_bucket_arn
    objects = pulumi.Output.concat(bucket, "/*")
    encrypting = ["kms:Decrypt", "kms:GenerateDataKey"]
    return [
        allow("ListBackups", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], bucket),
        allow("WriteBackups", ["s3:AbortMultipartUpload", "s3:PutObject"], objects),
        _use_key("EncryptBackups", args, args.backups_key_arn, "s3", encrypting),
    ]


def _use_key(
    sid: str, args: IdentityArgs, key: pulumi.Input[str], service: str, actions: list[str]
) -> Statement:
    """A key, through one service alone."""
    via = pulumi.Output.format("{}.{}.amazonaws.com", service, args.region)
    return allow(sid, actions, key, {"StringEquals": {"kms:ViaService": via}})
