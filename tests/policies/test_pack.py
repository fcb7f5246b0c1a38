"""The policies as a pack of the real engine's: `pulumi preview --policy-pack policies`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.paths import PROJECT
from tools import language_host

CLI = shutil.which("pulumi") or shutil.which("pulumi", path=str(Path(sys.prefix, "bin")))
PACK = PROJECT / "policies"
PLUGIN = """\
import sys
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import *
from pulumi.provider.experimental.server import main

class Echo(Provider):
    async def get_schema(self, request):
        return GetSchemaResponse('{"name": "aws"}')
    async def configure(self, request):
        return ConfigureResponse(True, True, False, False)
    async def check(self, request):
        return CheckResponse(request.new_inputs)
    async def create(self, request):
        return CreateResponse("" if request.preview else "made-up", request.properties)

main(sys.argv[1:], "7.51.1", Echo())
"""
LOOSE = """\
import pulumi_aws as aws
tags = {"Environment": "dev", "Owner": "platform", "ManagedBy": "hearth"}
aws.kms.Key("data", policy="{}", tags=tags)
bucket = aws.s3.Bucket("logs", tags=tags)
"""
SOUND = """\
import pulumi_aws as aws
tags = {"Environment": "dev", "Owner": "platform", "ManagedBy": "hearth"}
key = aws.kms.Key("data", enable_key_rotation=True, policy="{}", tags=tags)
aws.cloudwatch.LogGroup("api", retention_in_days=30, kms_key_id=key.arn, tags=tags)
vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16", tags=tags)
aws.ec2.DefaultSecurityGroup("closed", vpc_id=vpc.id)
aws.ec2.FlowLog("flows", vpc_id=vpc.id, log_destination=key.arn, tags=tags)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a plugin that makes whatever it is asked for."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "Pulumi.yaml").write_text("name: trial\nruntime: python\n")
    (folder / "bin").mkdir()
    (folder / "echo.py").write_text(PLUGIN)
    (folder / "state").mkdir()
    host = shlex.join([sys.executable, "-P", language_host.__file__])
    echo = shlex.join([sys.executable, "-P", str(folder / "echo.py")])
    for name, command in {
        "pulumi-language-python": f'exec {host} "$@"',
        "pulumi-resource-aws": f'exec {echo} "$@"',
        "pulumi-resource-docker": "sleep 60",
    }.items():
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\n{command}\n")
        script.chmod(0o755)
    assert _pulumi(folder, "stack", "init", "dev").returncode == 0
    return folder


def _pulumi(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", *arguments, "--non-interactive", "--color=never"],
        cwd=folder,
        env=os.environ
        | {
            "PATH": os.pathsep.join([str(folder / "bin"), str(Path(CLI or "").parent), "/bin"]),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "for the test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _preview(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "__main__.py").write_text(program)
    return _pulumi(folder, "preview", "--stack=dev", f"--policy-pack={PACK}")


pytestmark = pytest.mark.skipif(CLI is None, reason="no pulumi CLI is here; `make setup` gets one")


def test_a_preview_that_breaks_promises_fails_and_says_which(folder: Path) -> None:
    done = _preview(folder, LOOSE)
    assert done.returncode != 0, done.stdout + done.stderr
    assert "[mandatory]  keys-rotate  (aws:kms/key:Key: data)" in done.stdout
    assert "is never renewed; set enable_key_rotation=True" in done.stdout
    assert "[mandatory]  buckets-are-not-public  (aws:s3/bucket:Bucket: logs)" in done.stdout


def test_a_preview_that_keeps_them_passes_though_ids_are_not_known_yet(folder: Path) -> None:
    done = _preview(folder, SOUND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hearth@v0.1.0 (local: " in done.stdout
    assert "mandatory" not in done.stdout
