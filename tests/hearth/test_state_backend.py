"""An environment's backend is made once, put right when changed, and holds the engine's state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from hearth.aws_account import AwsAccount, require_account
from hearth.cloud import CloudStack, offline_place
from hearth.state_backend import StateBackend, backend_of, has_bucket, make_backend
from inventory.cloud.loading import load_environment
from inventory.errors import HearthError
from tools import toolchain

ENVIRONMENT = load_environment("dev")
BUCKET = "hearth-dev-state-123456789012"


def quiet(_line: str) -> None:
    pass


@pytest.fixture
def account(aws_credentials: None) -> Iterator[AwsAccount]:
    del aws_credentials
    with mock_aws():
        yield require_account("dev", ENVIRONMENT)


@pytest.fixture
def backend(account: AwsAccount) -> StateBackend:
    return backend_of(ENVIRONMENT, account)


def test_everything_is_made_once(account: AwsAccount, backend: StateBackend) -> None:
    assert make_backend(backend, account, quiet) == [
        "key alias/hearth-dev-state made",
        "key alias/hearth-dev-state: rotation set",
        "key alias/hearth-dev-secrets made",
        "key alias/hearth-dev-secrets: rotation set",
        f"bucket {BUCKET} made",
        "bucket: public access block set",
        "bucket: tags set",
        "bucket: ownership set",
        "bucket: versioning set",
        "bucket: encryption set",
        "bucket: policy set",
        "bucket: life cycle set",
    ]
    assert make_backend(backend, account, quiet) == []


def test_the_bucket_is_closed_encrypted_and_keeps_versions(
    account: AwsAccount, backend: StateBackend
) -> None:
    make_backend(backend, account, quiet)
    s3, kms = account.session.client("s3"), account.session.client("kms")
    blocks = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert len(blocks) == 4
    assert all(blocks.values())
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    key = kms.describe_key(KeyId="alias/hearth-dev-state")["KeyMetadata"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key["Arn"],
    }
    (life,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert life["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert "Days" not in life["Expiration"]
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {s["Effect"] for s in policy["Statement"]} == {"Deny"}
    assert {"Bool": {"aws:SecureTransport": "false"}} in [
        s["Condition"] for s in policy["Statement"]
    ]


def test_secrets_have_a_key_of_their_own_that_is_rotated(
    account: AwsAccount, backend: StateBackend
) -> None:
    make_backend(backend, account, quiet)
    kms = account.session.client("kms")
    ids = [
        kms.describe_key(KeyId=f"alias/hearth-dev-{key}")["KeyMetadata"]["KeyId"]
        for key in ("state", "secrets")
    ]
    assert len(set(ids)) == 2
    assert all(kms.get_key_rotation_status(KeyId=id_)["KeyRotationEnabled"] for id_ in ids)


def test_what_was_changed_by_hand_is_put_right(account: AwsAccount, backend: StateBackend) -> None:
    make_backend(backend, account, quiet)
    s3, kms = account.session.client("s3"), account.session.client("kms")
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_encryption(Bucket=BUCKET)
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    key = kms.describe_key(KeyId="alias/hearth-dev-secrets")["KeyMetadata"]["KeyId"]
    kms.disable_key_rotation(KeyId=key)
    assert make_backend(backend, account, quiet) == [
        "key alias/hearth-dev-secrets: rotation set",
        "bucket: public access block set",
        "bucket: versioning set",
        "bucket: encryption set",
        "bucket: policy set",
        "bucket: life cycle set",
    ]
    assert make_backend(backend, account, quiet) == []


def test_another_accounts_bucket_is_refused(
    account: AwsAccount, backend: StateBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as theirs:
        theirs.setenv("MOTO_ACCOUNT_ID", "210987654321")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
    with pytest.raises(HearthError, match="the bucket is another account's"):
        make_backend(backend, account, quiet)


@pytest.mark.parametrize("tags", [{}, {"Environment": "production", "ManagedBy": "hearth"}])
def test_a_bucket_that_was_made_for_something_else_is_refused(
    account: AwsAccount, backend: StateBackend, tags: dict[str, str]
) -> None:
    s3 = account.session.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="photo", Body=b"")
    tag_set: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    if tags:
        s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tag_set})
    with pytest.raises(HearthError, match="which Hearth did not make for dev"):
        make_backend(backend, account, quiet)
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)


def test_a_run_that_ended_too_early_is_completed(
    account: AwsAccount, backend: StateBackend
) -> None:
    account.session.client("s3").create_bucket(Bucket=BUCKET)
    assert "bucket: versioning set" in make_backend(backend, account, quiet)
    assert has_bucket(backend, account)


def test_a_key_that_is_to_be_deleted_is_not_used(
    account: AwsAccount, backend: StateBackend
) -> None:
    make_backend(backend, account, quiet)
    kms = account.session.client("kms")
    key = kms.describe_key(KeyId="alias/hearth-dev-secrets")["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key)
    with pytest.raises(HearthError, match="alias/hearth-dev-secrets: its key is PendingDeletion"):
        make_backend(backend, account, quiet)


def test_other_regions_have_their_bucket_there(account: AwsAccount) -> None:
    there = replace(backend_of(ENVIRONMENT, account), region="eu-central-1")
    make_backend(there, account, quiet)
    where = account.session.client("s3").get_bucket_location(Bucket=BUCKET)
    assert where["LocationConstraint"] == "eu-central-1"


@pytest.fixture
def server(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An AWS that other processes reach."""
    del aws_credentials
    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    yield url
    running.stop()


def test_the_engine_keeps_its_state_secrets_and_locks_there(server: str, tmp_path: Path) -> None:
    toolchain.ensure(quiet, docker=False)
    account = require_account("dev", ENVIRONMENT)
    backend = backend_of(ENVIRONMENT, account)
    make_backend(backend, account, quiet)
    s3 = account.session.client("s3")
    s3.delete_bucket_policy(Bucket=BUCKET)  # moto speaks no TLS, which the policy asks for
    # moto has no names for buckets: a path has to do, which Pulumi knows of SDK v1 only.
    options = f"endpoint={server}&s3ForcePathStyle=true&disableSSL=true"
    url = backend.url.replace("awssdk=v2", options)
    place = replace(offline_place(tmp_path, url), secrets=backend.secrets_provider)
    stack = CloudStack("dev", ENVIRONMENT, place)
    stack.prepare()
    assert (
        f"secretsprovider: {backend.secrets_provider}" in (tmp_path / "Pulumi.dev.yaml").read_text()
    )
    stack.up(quiet)
    files = [file["Key"] for file in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert ".pulumi/stacks/hearth/dev.json" in files
    assert not [file for file in files if "/locks/" in file]
    assert stack.preview().counts == {}
    lock = ".pulumi/locks/organization/hearth/dev/0.json"
    s3.put_object(Bucket=BUCKET, Key=lock, Body=json.dumps({"pid": 1, "username": "a"}).encode())
    with pytest.raises(HearthError, match="`pulumi cancel --stack dev`"):
        stack.up(quiet)
