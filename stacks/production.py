"""The production stack: an environment on AWS."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from inventory.cloud.model import Environment
from stacks.tags import tag_everything, tags_of


def declare(environment: Environment) -> None:
    """Declares an environment, every resource of it tagged."""
    tag_everything(tags_of(environment))
    account = [environment.account] if environment.account else None
    provider = aws.Provider("aws", region=environment.region, allowed_account_ids=account)
    own = pulumi.ResourceOptions(provider=provider)
    kept = pulumi.ResourceOptions(provider=provider, protect=environment.protected)
    vpc = aws.ec2.Vpc(
        "network", cidr_block=str(environment.network.cidr), enable_dns_hostnames=True, opts=own
    )
    key = aws.kms.Key("data", enable_key_rotation=True, opts=kept)
    bucket = aws.s3.Bucket("logs", opts=kept)
    aws.s3.BucketServerSideEncryptionConfiguration(
        "logs",
        bucket=bucket.id,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key.arn,
                }
            }
        ],
        opts=own,
    )
    pulumi.export("vpcId", vpc.id)
