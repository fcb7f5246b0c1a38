"""Repositories of container images on ECR."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.iam import document, granted
from inventory.cloud.model import Images

PULL = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)


@dataclass(frozen=True, slots=True)
class RegistryArgs:
    """What the repositories are made of.

    Attributes:
        settings: which there are, and how many images each keeps.
        key_arn: encrypts the images.
        account: number of the account, whose roles may pull.
        protected: whether a repository can be deleted only deliberately, and only when empty.
    """

    settings: Images
    key_arn: pulumi.Input[str]
    account: pulumi.Input[str]
    protected: bool = True


class Registry(pulumi.ComponentResource):
    """Repositories whose tags never move, so that what was tested is what runs.

    They are named after the component and the image, as pipelines and manifests name them:
    `production-images/api`.

    Images are scanned when they are pushed, by ECR itself and free of charge. Inspector's enhanced
    scanning goes on after the push; it is a setting of the whole account with a price per image, so
    an environment does not turn it on.
    """

    repository_urls: pulumi.Output[dict[str, str]]
    repository_arns: pulumi.Output[dict[str, str]]

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Registry", name, None, opts)
        repositories = {
            image: self._repository(name, image, args) for image in args.settings.repositories
        }
        self.repository_urls = pulumi.Output.all(
            **{image: made.repository_url for image, made in repositories.items()}
        )
        self.repository_arns = pulumi.Output.all(
            **{image: made.arn for image, made in repositories.items()}
        )
        self.register_outputs(
            {"repository_urls": self.repository_urls, "repository_arns": self.repository_arns}
        )

    def _repository(self, name: str, image: str, args: RegistryArgs) -> Any:
        child = pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            f"{name}-{image}",
            name=f"{name}/{image}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": args.key_arn}],
            force_delete=not args.protected,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-{image}",
            repository=repository.name,
            policy=json.dumps(lifecycle(args.settings)),
            opts=child,
        )
        account = {"AWS": pulumi.Output.format("arn:aws:iam::{}:root", args.account)}
        # An ECR policy names no resource: it is about the repository that has it.
        pull = {"Sid": "PullWithinAccount", "Effect": "Allow", "Action": list(PULL)}
        aws.ecr.RepositoryPolicy(
            f"{name}-{image}",
            repository=repository.name,
            policy=pulumi.Output.json_dumps(document(granted(account, pull))),
            opts=child,
        )
        return repository


def lifecycle(settings: Images) -> dict[str, Any]:
    """Untagged images go after some days, tagged ones once there are more than are kept."""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": settings.untagged_days,
    }
    tagged = {
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": settings.kept,
    }
    return {
        "rules": [
            {"rulePriority": number, "selection": selection, "action": {"type": "expire"}}
            for number, selection in enumerate((untagged, tagged), start=1)
        ]
    }
