"""The commands, in an account that has nothing of the environment, and then a little."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hearth import cli
from hearth.audit.run import audit
from tests.hearth.audit.deployed import Deployed


def test_an_account_without_the_environment_is_no_pass(empty: Deployed) -> None:
    empty.client("s3").create_bucket(Bucket="somebody-elses")
    found = audit(empty.session, empty.environment, lambda _: None)
    assert found.exit_code == 1
    assert ("production", "no bucket has the tag Environment=production") in {
        (one.resource, one.what) for one in found.findings
    }
    assert {one.resource for one in found.findings} == {"production"}


def _command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hearth", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("empty")
def test_the_command_prints_findings_with_remedies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(monkeypatch, "audit", "production") == 1
    out = capsys.readouterr().out
    assert "audit: account 123456789012, us-east-1: 0 resources, " in out
    assert "no cluster has the tag Environment=production" in out
    assert "`hearth up production`" in out


@pytest.mark.usefixtures("empty")
def test_the_command_prints_json_for_scripts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(monkeypatch, "audit", "production", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["environment"] == "production"
    assert document["findings"][0].keys() == {"resource", "subject", "level", "what", "remedy"}


def test_help_does_not_wait_for_boto3() -> None:
    program = "import sys, hearth.cli; print([m for m in ('boto3', 'pulumi') if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"
