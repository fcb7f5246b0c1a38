"""What a person gets of `hearth cost`, and of `hearth check` with an environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hearth.cost import refresh as refreshing
from inventory.errors import HearthError
from tests.hearth.test_cli import Shell
from tests.hearth.test_cost import CAPACITY, TABLE

ENVIRONMENTS = Path(__file__).parents[1] / "environments"
MINIMAL = str(ENVIRONMENTS / "valid" / "minimal.yaml")


@pytest.fixture
def hearth(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("inventory.cloud.prices.load_prices", lambda: TABLE)
    return Shell(capsys, monkeypatch)


@pytest.mark.parametrize("environment", ["production", "dev", MINIMAL])
def test_check_says_what_a_sound_environment_comes_to(hearth: Shell, environment: str) -> None:
    ended = hearth("check", environment)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{Path(environment).stem}: sound")
    assert "PostgreSQL 17.9" in ended.out


def test_check_tells_scripts_all_settings_of_an_environment(hearth: Shell) -> None:
    told = json.loads(hearth("check", "production", "--json").out)
    assert told["name"] == "production"
    assert told["cluster"]["off_peak"]["begins"] == "20:00"


def test_check_tells_a_defect_of_an_environment_in_one_line(hearth: Shell) -> None:
    ended = hearth("check", str(ENVIRONMENTS / "invalid" / "typical-over-most.yaml"))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "typical-over-most.yaml:6 cluster.gpu.typical: is 9; it has to be between base (1) and "
        "most (4)\n"
    )


def test_a_name_that_is_neither_names_all_sites_and_environments(hearth: Shell) -> None:
    ended = hearth("check", "prod")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "prod: no such site or environment; name one of homelab, sandbox (sites), dev, production "
        "(environments), or give the path of a .yaml file\n"
    )


def test_the_schema_of_environments_is_one_of_its_own(hearth: Shell) -> None:
    told = json.loads(hearth("schema", "--environment").out)
    Draft202012Validator.check_schema(told)
    assert told["title"] == "Hearth environment"
    assert json.loads(hearth("schema").out)["title"] == "Hearth site"


def test_cost_tells_components_totals_and_what_has_no_price(hearth: Shell) -> None:
    ended = hearth("cost", "production")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "production: USD a month, before tax, of what has a price"
    (total,) = [line for line in lines if line.startswith("total")]
    assert total.split()[-3:] == ["1,177.56", "1,253.68", "1,286.30"]
    (database,) = [line for line in lines if line.startswith("database")]
    assert database.split()[-3:] == ["unpriced"] * 3
    (no_price,) = [n for n, line in enumerate(lines) if "as the table has no price" in line]
    (no_amount,) = [n for n, line in enumerate(lines) if "nobody knows beforehand" in line]
    assert "`hearth cost refresh` asks AWS for it" in lines[no_price]
    database = "    database: db.m7g.large, multi-az, 730 hours (rds.db.m7g.large.multi-az)"
    assert no_price < lines.index(database) < no_amount
    assert lines.index("    keys: requests to them; only its use tells how much") > no_amount
    assert "    spot.g6.xlarge in us-east-1: without a date (spot prices as seen)" in lines
    assert any(line.startswith("    65.70 a month: network.nat: per-zone to s") for line in lines)
    (off_peak,) = [line for line in lines if line.startswith("off-peak: ")]
    assert off_peak.endswith("103 of a week's 168 hours; saves 187.98 (93.99 to 228.26) a month")


def test_nothing_but_text_is_written_off_a_terminal(hearth: Shell) -> None:
    assert "\x1b" not in hearth("cost", "production").out


def test_cost_of_a_region_without_prices_says_how_to_get_them(hearth: Shell) -> None:
    told = hearth("cost", MINIMAL).out
    assert "no price of eu-central-1 is known: `hearth cost refresh --region eu-central-1`" in told
    (nodes,) = [line for line in told.splitlines() if line.startswith("gpu")]
    assert nodes.split()[-3:] == ["unpriced"] * 3


def test_cost_compares_two_environments_by_component(hearth: Shell) -> None:
    lines = hearth("cost", "production", "--compare", "dev").out.splitlines()
    (network,) = [line for line in lines if line.startswith("network")]
    assert network.split()[-5:] == ["229.95", "32.85", "-197.10", "-197.10", "-197.10"]
    (database,) = [line for line in lines if line.startswith("database")]
    assert database.split()[-1] == "unpriced"


def test_cost_is_sized_by_a_capacity_report(hearth: Shell, tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    path.write_text(json.dumps(CAPACITY))
    told = hearth("cost", "production", "--capacity", str(path)).out
    assert "GPU nodes: 1 in ordinary hours, 3 at peak, 1 off-peak; by 32 chats a minute" in told
    assert "capacity.json: homelab of 2026-11-20" in told


def test_a_capacity_report_that_is_none_ends_it(hearth: Shell, tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    path.write_text("{}")
    ended = hearth("cost", "production", "--capacity", str(path))
    assert (ended.code, ended.out) == (1, "")
    assert "its schema is not named, this Hearth reads hearth.capacity/1" in ended.err


def test_cost_tells_scripts_the_same_in_json(hearth: Shell) -> None:
    told = json.loads(hearth("cost", "production", "--compare", "dev", "--json").out)
    assert told["schema"] == "hearth.cost/1"
    assert told["total"] == {"low": 1177.56, "typical": 1253.68, "high": 1286.3}
    assert told["components"]["database"] is None
    kinds = {line["kind"] for line in told["lines"]}
    assert kinds == {"fixed", "usage", "unpriced"}
    for line in told["lines"]:
        assert (line["usd"] is None) == (line["kind"] == "unpriced")
        assert all(price["source"] for price in line["prices"])
    assert told["off_peak"]["hours_a_week"] == 103
    assert told["compared"]["difference"]["typical"] == -1015.79
    assert told["advice"][0]["saves"]["typical"] == 203.52


def test_options_may_stand_before_the_environment(hearth: Shell) -> None:
    assert json.loads(hearth("cost", "--json", "dev").out)["environment"] == "dev"
    assert json.loads(hearth("cost", "show", "dev", "--json").out)["environment"] == "dev"


def test_an_unknown_environment_is_one_line(hearth: Shell) -> None:
    ended = hearth("cost", "homelab")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("homelab: no such environment")
    assert "name one of dev, production" in ended.err


def test_cost_without_an_environment_is_a_mistake_in_usage(hearth: Shell) -> None:
    assert hearth("cost").code == 2
    assert hearth("cost", "--compare", "dev").code == 2


def test_refresh_ends_with_1_where_some_prices_stay_as_they_were(
    hearth: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing, code in (((), 0), (("kms.key in us-east-1: no product",), 1)):
        found = refreshing.Refreshed(3, missing)
        monkeypatch.setattr(refreshing, "refresh", lambda *_, found=found: found)
        ended = hearth("cost", "refresh")
        assert ended.code == code
        assert all(f"    {line}" in ended.out for line in missing)


def test_refresh_without_aws_is_an_error_of_one_line(
    hearth: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise HearthError("AWS cannot be asked (no way there); the table is as it was")

    monkeypatch.setattr(refreshing, "refresh", fail)
    ended = hearth("cost", "refresh")
    assert ended.code == 1
    assert ended.err == "AWS cannot be asked (no way there); the table is as it was\n"


def test_neither_help_nor_a_bill_waits_for_boto3() -> None:
    for arguments in (["--help"], ["cost", "production"]):
        code = (
            "import sys; from hearth.cli import app\n"
            f"try: app({arguments!r})\n"
            "except SystemExit: pass\n"
            "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
        )
        quiet = subprocess.DEVNULL
        ended = subprocess.run([sys.executable, "-c", code], check=False, stdout=quiet, timeout=60)
        assert ended.returncode == 0, arguments
