"""Keys, log groups, image repositories, topics and queues."""

from __future__ import annotations

from hearth.audit.look import Look


def judge_keys(look: Look) -> None:
    """KMS keys with the environment's tag."""
    client = look.client("kms")
    keys = []
    for entry in look.all("kms", "list_keys", "Keys"):
        key = client.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
        if key["KeyManager"] != "CUSTOMER" or key["KeyState"] == "PendingDeletion":
            continue
        if look.ours(client.list_resource_tags(KeyId=key["KeyId"])["Tags"]):
            keys.append(key["KeyId"])
    look.found("key", keys)
    for key in keys:
        with look.as_far_as_allowed(key, "key rotation"):
            look.expect(
                key,
                "key rotation",
                client.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"],
                "is never renewed",
                "turn on automatic rotation",
            )


def judge_log_groups(look: Look) -> None:
    """Log groups with the environment's tag."""
    client = look.client("logs")
    groups = [
        group
        for group in look.all("logs", "describe_log_groups", "logGroups")
        if look.ours(
            client.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
        )
    ]
    look.found("log group", [group["logGroupName"] for group in groups])
    for group in groups:
        name = group["logGroupName"]
        look.expect(
            name,
            "log retention",
            group.get("retentionInDays"),
            "keeps logs for ever",
            "set a retention policy",
        )
        look.expect(
            name,
            "encryption",
            group.get("kmsKeyId"),
            "is not encrypted with a key of yours",
            "associate a KMS key",
        )


def judge_repositories(look: Look) -> None:
    """Image repositories with the environment's tag."""
    client = look.client("ecr")
    repositories = [
        repository
        for repository in look.all("ecr", "describe_repositories", "repositories")
        if look.ours(client.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"])
    ]
    look.found("image repository", [one["repositoryName"] for one in repositories])
    for repository in repositories:
        name = repository["repositoryName"]
        look.expect(
            name,
            "image tags",
            repository["imageTagMutability"].startswith("IMMUTABLE"),
            "its tags can be moved to other images",
            "make its tags immutable",
        )
        look.expect(
            name,
            "image scanning",
            repository.get("imageScanningConfiguration", {}).get("scanOnPush"),
            "its images are not scanned",
            "scan on push",
        )
        look.expect(
            name,
            "encryption",
            repository.get("encryptionConfiguration", {}).get("encryptionType") == "KMS",
            "its images are not encrypted with a key of yours",
            "make it anew with KMS: it cannot be turned on",
        )


def judge_messages(look: Look) -> None:
    """Topics and queues with the environment's tag."""
    topics, queues = look.client("sns"), look.client("sqs")
    named = []
    for topic in look.all("sns", "list_topics", "Topics"):
        arn = topic["TopicArn"]
        if look.ours(topics.list_tags_for_resource(ResourceArn=arn)["Tags"]):
            named.append(arn.rpartition(":")[2])
            found = topics.get_topic_attributes(TopicArn=arn)["Attributes"]
            _encrypted(look, named[-1], found.get("KmsMasterKeyId"))
    look.found("topic", named)
    for url in look.all("sqs", "list_queues", "QueueUrls"):
        if look.ours(queues.list_queue_tags(QueueUrl=url).get("Tags", {})):
            found = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            managed = found.get("SqsManagedSseEnabled") == "true"
            _encrypted(look, url.rpartition("/")[2], found.get("KmsMasterKeyId") or managed)


def _encrypted(look: Look, name: str, key: object) -> None:
    look.expect(name, "encryption", key, "its messages are not encrypted", "give it a KMS key")
