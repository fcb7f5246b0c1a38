"""An account of moto's, empty or with a sound environment in it."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.hearth.audit.deployed import Deployed, deploy
from tests.policies.stack import graph_of
from tools.aws_echo import REGION

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}


@pytest.fixture(scope="module")
def production() -> Environment:
    """What is promised."""
    return load_environment("production")


@pytest.fixture(scope="module")
def account(production: Environment) -> Iterator[Deployed]:
    """The production environment as its stack makes it."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield deploy(graph_of("production"), production)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, production: Environment) -> Iterator[Deployed]:
    """An account with nothing in it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Deployed(boto3.Session(region_name=REGION), production)
