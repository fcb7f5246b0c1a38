"""What a person at a shell gets: exit codes, one line an error, JSON where it was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from jsonschema import Draft202012Validator
from moto import mock_aws

from hearth.cli import app, main
from hearth.cloud import CloudStack
from hearth.extras import missing_extra
from hearth.plan import Change, Plan
from inventory.paths import PROJECT
from inventory.units import GIB

SITES = Path(__file__).parents[1] / "sites"
PLANNED = str(SITES / "valid" / "boards-sandbox.yaml")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs `hearth` as its console script does."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Ended:
        """Runs it with these arguments."""
        self.monkeypatch.setattr(sys, "argv", ["hearth", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self.capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def hearth(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


def commands() -> list[list[str]]:
    """Every command, as it is typed."""
    found = []
    for name, command in typer.main.get_group(app).commands.items():
        found.append([name])
        if isinstance(command, typer.core.TyperGroup):
            found += [[name, below] for below in command.commands]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself(hearth: Shell, command: list[str]) -> None:
    ended = hearth(*command, "--help")
    assert ended.code == 0
    assert "Usage" in ended.out


@pytest.mark.parametrize("site", ["homelab", "sandbox", str(SITES / "valid" / "minimal.yaml")])
def test_a_sound_site_passes(hearth: Shell, site: str) -> None:
    ended = hearth("check", site)
    assert ended.code == 0
    assert ended.out.startswith(f"{Path(site).stem}: sound")
    assert ended.err == ""


def test_check_shows_how_each_boards_memory_is_used(hearth: Shell) -> None:
    lines = hearth("check", "homelab").out.splitlines()
    (orin0,) = [line for line in lines if line.startswith("orin0")]
    assert "192.168.1.157" in orin0
    assert orin0.partition(" of ")[2].split()[:4] == ["7", "GiB", "4.8", "GiB"]
    assert "comfyui, ollama, assistant, node-exporter, collector" in orin0
    (pi51,) = [line for line in lines if line.startswith("pi51")]
    assert pi51.partition(" of ")[2].split()[:3] == ["7.2", "GiB", "-"]


def test_check_names_what_is_only_planned(hearth: Shell) -> None:
    # Its registry has images for some services only.
    lines = hearth("check", PLANNED).out.splitlines()
    (planned,) = [line for line in lines if line.startswith("planned, not provisioned yet: ")]
    assert "nano-r32.ollama" in planned
    assert "redis" not in planned


def test_check_tells_scripts_the_same_in_json(hearth: Shell) -> None:
    told = json.loads(hearth("check", "homelab", "--json").out)
    assert told["site"] == "homelab"
    assert [host["host"] for host in told["hosts"]][:2] == ["pi51", "agx0"]
    assert all(0 < host["memory_bytes"] <= host["budget_bytes"] for host in told["hosts"])
    assert "nano-r32.ollama" in json.loads(hearth("check", PLANNED, "--json").out)["planned"]


def test_check_tells_what_of_a_boards_memory_is_its_gpus(hearth: Shell) -> None:
    told = json.loads(hearth("check", "homelab", "--json").out)["hosts"]
    gpus = {host["host"]: (host["gpu_memory_bytes"], host["gpu_budget_bytes"]) for host in told}
    assert gpus["pi51"] == (0, None)
    promised, budget = gpus["agx0"]
    assert (promised, budget) == (40 * GIB, 61 * GIB)


def test_a_defect_is_one_line_with_its_place_and_what_to_do(hearth: Shell) -> None:
    ended = hearth("check", str(SITES / "invalid" / "duplicate-address.yaml"))
    assert (ended.code, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("duplicate-address.yaml:")
    assert line.endswith("give each an address of its own")


def test_an_unknown_site_is_one_line_that_names_those_that_are(hearth: Shell) -> None:
    ended = hearth("check", "hoomlab")
    assert (ended.code, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("hoomlab: no such site")
    assert "name one of homelab, sandbox" in line


def test_every_command_with_a_site_refuses_an_unknown_one_alike(hearth: Shell) -> None:
    for command in (
        ["render"],
        ["draw"],
        ["bootstrap"],
        ["smoke"],
        ["capacity"],
        ["sandbox", "status"],
    ):
        ended = hearth(*command, "hoomlab")
        assert ended.code == 1, command
        assert ended.err.startswith("hoomlab: no such site"), command


def test_a_report_to_compare_with_is_read_before_anything_is_done(
    hearth: Shell, tmp_path: Path
) -> None:
    old = tmp_path / "old.json"
    old.write_text('{"schema": "hearth.smoke/1"}')
    for command in ("smoke", "up"):
        ended = hearth(command, "sandbox", "--compare", str(old))
        assert (ended.code, ended.out) == (1, ""), command
        assert "its schema is hearth.smoke/1, this Hearth reads hearth.smoke/2" in ended.err


def test_smoke_tells_what_its_exit_codes_mean(hearth: Shell) -> None:
    told = " ".join(hearth("smoke", "--help").out.split())
    assert (
        "Exit codes: 0 all that was judged passed, 1 some failed, 2 some could not be judged."
        in told
    )


def test_capacity_tells_what_its_exit_codes_mean(hearth: Shell) -> None:
    told = " ".join(hearth("capacity", "--help").out.split())
    assert "Exit codes: 0 the prediction held, 1 it did not, 2 it could not be measured." in told


def test_capacity_of_a_route_that_is_none_of_chat_is_refused(
    hearth: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_API_KEY", "some")
    ended = hearth("capacity", "homelab", "--route", "image")
    assert ended.code == 1
    assert ended.err == "image: no model answers that route of homelab; known are chat, code\n"


def test_real_boards_are_not_booted(hearth: Shell) -> None:
    ended = hearth("sandbox", "status", "homelab")
    assert ended.code == 1
    assert ended.err == (
        "homelab: its machines are real boards; only a site with `sandbox:` can be booted\n"
    )


def test_an_unknown_machine_is_refused_with_those_that_are(hearth: Shell) -> None:
    ended = hearth("sandbox", "ssh", "pi99")
    assert ended.code == 1
    assert ended.err.startswith("sandbox: no such machine (pi99); known are pi51, agx0")


def test_a_command_without_its_site_is_a_mistake_in_usage(hearth: Shell) -> None:
    assert hearth("check").code == 2
    assert hearth("no-such-command").code == 2


def test_the_schema_is_json_and_a_schema(hearth: Shell) -> None:
    ended = hearth("schema")
    assert ended.code == 0
    Draft202012Validator.check_schema(json.loads(ended.out))


def test_render_writes_every_machines_files_with_secrets_left_blank(
    hearth: Shell, tmp_path: Path
) -> None:
    ended = hearth("render", "homelab", "--out", str(tmp_path))
    assert ended.code == 0
    written = {str(p.relative_to(tmp_path / "homelab")) for p in tmp_path.rglob("*") if p.is_file()}
    assert {"ssh_config", "pi51/nginx.conf", "pi51/kong.yaml", "pi41/nftables.conf"} <= written
    assert "password: (secret)" in (tmp_path / "homelab/pi51/kong.yaml").read_text()
    assert "haproxy.cfg" not in " ".join(written)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize(
    "command",
    [("up", "dev"), ("down", "dev"), ("preview", "dev", "--online"), ("backend", "aws", "dev")],
)
def test_without_credentials_nothing_of_an_environment_is_touched(
    hearth: Shell, command: tuple[str, ...]
) -> None:
    ended = hearth(*command)
    assert ended.code == 1
    assert "dev: there are no AWS credentials here" in ended.err


@pytest.mark.parametrize(
    "command", [("up", "homelab", "--offline"), ("preview", "homelab", "--online")]
)
def test_what_is_for_environments_is_refused_for_sites(
    hearth: Shell, command: tuple[str, ...]
) -> None:
    ended = hearth(*command)
    assert ended.code == 1
    assert ended.err == f"{command[2]}: homelab is no environment on AWS; leave the option out\n"


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_a_backend_is_made_after_a_question_and_its_use_is_told(
    hearth: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typer, "confirm", lambda _: False)
    assert hearth("backend", "aws", "dev").code == 1
    made = hearth("backend", "aws", "dev", "--yes")
    assert "bucket hearth-dev-state-123456789012 made" in made.out
    assert "export PULUMI_BACKEND_URL='s3://hearth-dev-state-123456789012?" in made.out
    assert "--secrets-provider 'awskms://alias/hearth-dev-secrets?" in made.out
    assert "all is as it should be" in hearth("backend", "aws", "dev", "--yes").out


def test_an_environment_is_planned_for_people_and_for_scripts(
    hearth: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearth.cloud.OFFLINE_HOME", tmp_path)
    change = Change("replace", "network", "ec2/vpc:Vpc", "network-vpc", ("cidrBlock",))
    plan = Plan("dev", True, (change,), 3, ("Vpc network-vpc",))
    monkeypatch.setattr(CloudStack, "prepare", lambda _: None)
    monkeypatch.setattr(CloudStack, "preview", lambda _: plan)
    shown = hearth("preview", "dev")
    assert shown.code == 1
    assert "1 to replace, 3 unchanged" in shown.out
    assert "! REPLACE  Vpc network-vpc: cidrBlock" in shown.out
    assert "Offline: AWS was not asked" in shown.out
    assert "nothing is deleted, as these are protected: Vpc network-vpc" in shown.err
    printed = hearth("preview", "dev", "--json")
    assert json.loads(printed.out)["counts"] == {"replace": 1}
    assert printed.code == 1


WITHOUT = """
import sys
module, *arguments = sys.argv[1:]
sys.modules[module] = None  # as if it were not installed
sys.argv = ["hearth", *arguments]
from hearth.cli import main
main()
"""


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        (
            "cryptography",
            ["preview", "homelab"],
            "cryptography is not installed: this command needs Hearth's extra `homelab`; "
            "run `make setup`\n",
        ),
        (
            "hdrh",
            ["smoke", "homelab"],
            "hdrh is not installed: this command needs Hearth's extra `homelab`; "
            "run `make setup`\n",
        ),
    ],
)
def test_a_package_of_another_extra_is_named_with_what_installs_it(
    module: str, arguments: list[str], told: str
) -> None:
    command = [sys.executable, "-c", WITHOUT, module, *arguments]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, told)


def test_a_module_of_no_extra_is_nobodys() -> None:
    assert missing_extra("nothing.at.all") == ""
    assert "make setup-cloud" in missing_extra("boto3.session")
