"""A PostgreSQL of the tests' own, as the services' tests have it; credentials that moto takes."""

from __future__ import annotations

import pytest

from tests.services.conftest import cluster

__all__ = ["cluster"]


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that no account has, and nothing else that leads to one."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
