"""Buckets keep what they promise, in both environments."""

from __future__ import annotations

from typing import Any

import pytest

from components.production.storage import Storage, StorageArgs
from inventory.cloud.model import Environment
from tests.components.production.given import BOTH, key, named, policy, recorded
from tests.components.recorder import Recording
from tools.aws_echo import ACCOUNT

KINDS = ("logs", "backups", "checkpoints", "access")
UNDER_THE_KEY = ("logs", "backups", "checkpoints")


def declare(environment: Environment) -> Storage:
    return Storage(
        "storage",
        StorageArgs(
            settings=environment.storage,
            key_arn=key("data"),
            account=ACCOUNT,
            protected=environment.protected,
        ),
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


@pytest.fixture(params=BOTH)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    return recordings[request.param]


def inputs(recording: Recording, kind: str, bucket: str) -> dict[str, Any]:
    return named(recording, f"s3/bucket{kind}:Bucket{kind}", f"-{bucket}").inputs


def test_there_are_four_buckets(recording: Recording) -> None:
    assert set(recording.of_type("s3/bucket:Bucket")) == {f"storage-{kind}" for kind in KINDS}


@pytest.mark.parametrize("bucket", KINDS)
def test_no_bucket_is_public_or_has_access_lists(recording: Recording, bucket: str) -> None:
    block = inputs(recording, "PublicAccessBlock", bucket)
    assert all(
        block[each] is True
        for each in (
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        )
    )
    ownership = inputs(recording, "OwnershipControls", bucket)
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("bucket", KINDS)
def test_every_bucket_keeps_versions_and_refuses_what_comes_without_tls(
    recording: Recording, bucket: str
) -> None:
    versions = inputs(recording, "Versioning", bucket)
    assert versions["versioningConfiguration"] == {"status": "Enabled"}
    refused = policy(inputs(recording, "Policy", bucket)["policy"])["TlsOnly"]
    assert refused["Effect"] == "Deny"
    assert refused["Action"] == ["s3:*"]
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    bucket_arn, objects = refused["Resource"]
    assert objects == f"{bucket_arn}/*"


@pytest.mark.parametrize("bucket", UNDER_THE_KEY)
def test_objects_are_under_the_key_and_under_no_other(recording: Recording, bucket: str) -> None:
    (rule,) = inputs(recording, "ServerSideEncryptionConfiguration", bucket)["rules"]
    assert rule["bucketKeyEnabled"] is True
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": key("data"),
    }
    statements = policy(inputs(recording, "Policy", bucket)["policy"])
    header = "s3:x-amz-server-side-encryption"
    assert statements["KmsOnly"]["Condition"] == {
        "Null": {header: "false"},
        "StringNotEquals": {header: "aws:kms"},
    }
    assert statements["ThisKeyOnly"]["Condition"] == {
        "Null": {f"{header}-aws-kms-key-id": "false"},
        "StringNotEquals": {f"{header}-aws-kms-key-id": key("data")},
    }
    assert {statements[sid]["Effect"] for sid in ("KmsOnly", "ThisKeyOnly")} == {"Deny"}


def test_records_of_access_are_encrypted_by_s3_as_their_writers_know_no_key(
    recording: Recording,
) -> None:
    (rule,) = inputs(recording, "ServerSideEncryptionConfiguration", "access")["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_who_read_a_bucket_is_recorded_in_another(recording: Recording) -> None:
    logging = recording.of_type("s3/bucketLogging:BucketLogging").values()
    assert {each.inputs["bucket"].rsplit("-", 1)[0] for each in logging} == {
        f"storage-{kind}" for kind in UNDER_THE_KEY
    }
    assert all(each.inputs["targetBucket"].startswith("storage-access") for each in logging)
    assert len({each.inputs["targetPrefix"] for each in logging}) == len(UNDER_THE_KEY)


def test_only_this_account_s_services_write_records(recording: Recording) -> None:
    statements = policy(inputs(recording, "Policy", "access")["policy"])
    records = statements["BucketRecords"]
    assert records["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert records["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    assert len(records["Condition"]["ArnEquals"]["aws:SourceArn"]) == len(UNDER_THE_KEY)
    balancer = statements["BalancerRecords"]
    assert balancer["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert balancer["Resource"].endswith(f"/balancer/AWSLogs/{ACCOUNT}/*")
    delivery = policy(inputs(recording, "Policy", "logs")["policy"])["LogDelivery"]
    assert delivery["Principal"] == {"Service": "delivery.logs.amazonaws.com"}
    assert delivery["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT
    for statement in (records, balancer, delivery):
        assert statement["Action"] == ["s3:PutObject"]


def test_who_records_somewhere_may_do_so_before(recording: Recording) -> None:
    allowed = named(recording, "s3/bucketPolicy:BucketPolicy", "-access").urn
    for each in recording.of_type("s3/bucketLogging:BucketLogging").values():
        assert allowed in each.depends_on


COLD_THEN_COLDER = [("STANDARD_IA", 30), ("GLACIER", 90)]


@pytest.mark.parametrize(
    ("name", "bucket", "expected"),
    [
        ("production", "logs", (COLD_THEN_COLDER, 400, 30)),
        ("production", "access", (COLD_THEN_COLDER, 400, 30)),
        ("production", "backups", (COLD_THEN_COLDER, 400, 30)),
        ("production", "checkpoints", ([("STANDARD_IA", 30)], None, 90)),
        ("dev", "logs", ([("STANDARD_IA", 30)], 60, 30)),
    ],
)
def test_life_cycles_are_the_settings(
    recordings: dict[str, Recording],
    name: str,
    bucket: str,
    expected: tuple[list[tuple[str, int]], int | None, int],
) -> None:
    (rule,) = inputs(recordings[name], "LifecycleConfiguration", bucket)["rules"]
    transitions, expires, versions = expected
    assert rule["status"] == "Enabled"
    assert [(each["storageClass"], each["days"]) for each in rule["transitions"]] == transitions
    assert rule.get("expiration", {}).get("days") == expires
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": versions}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}


def test_protected_buckets_are_deleted_only_deliberately_and_empty(
    recordings: dict[str, Recording],
) -> None:
    for name, protected in (("production", True), ("dev", False)):
        for bucket in recordings[name].of_type("s3/bucket:Bucket").values():
            assert bucket.protect is protected
            assert bucket.inputs["forceDestroy"] is not protected
