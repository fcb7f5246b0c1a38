"""Backups: told where everything is, and made before what they keep is upgraded."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.homelab import programs
from components.homelab.minio import BACKUPS, IMAGES
from components.homelab.postgres import schema_script
from components.homelab.service import NOTHING_YET, backup_script
from inventory.flows import flows_into
from inventory.loading import load
from inventory.model import Site
from inventory.services import KINDS
from services.keeper import __main__ as keeper
from services.keeper.settings import load as read_settings
from tests.components.recorder import Recorded, opened, record_site

KEPT = ("pi52.postgres", "pi52.minio", "pi41.grafana")
SITE = load("sandbox")


def files(site: Site) -> dict[str, Any]:
    """The settings of the backup service by name."""
    settings = record_site(site).of_type("Files")["pi31.backup"]
    return {name: opened(text) for name, text in opened(settings.inputs["files"]).items()}


def scripts(site: Site) -> dict[str, Recorded]:
    """What runs before an upgrade, by the service's name."""
    found = record_site(site).of_type("Script")
    return {n.removesuffix("-backup"): s for n, s in found.items() if n.endswith("-backup")}


def test_the_program_reads_what_the_component_writes(tmp_path: Path) -> None:
    for name, text in files(SITE).items():
        (tmp_path / name).write_text(text)
    told = read_settings(tmp_path / "keeper.json")
    assert told.postgres is not None
    assert told.minio is not None
    assert told.grafana is not None
    place = (told.postgres.host, told.postgres.port, told.postgres.user)
    assert place == ("192.168.1.247", 5432, "backup")
    assert (told.minio.endpoint, told.minio.user) == ("http://192.168.1.247:9000", "backup")
    assert (told.minio.buckets, told.minio.copies) == ((IMAGES,), BACKUPS)
    assert told.grafana.url == "http://192.168.1.204:3000"
    assert told.password("postgres") == "password-of-pi52-postgres-backup"
    assert told.password("minio") == "password-of-pi52-minio-backup"
    assert told.port == KINDS["backup"].ports["http"]


def test_when_and_how_many_are_the_sites(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text('extends: sandbox\nname: mine\nbackup: {at: "23:30", keep: {weekly: 0}}\n')
    told = json.loads(files(load(str(path)))["keeper.json"])
    assert told["at"] == "23:30"
    assert told["keep"] == {"daily": 7, "weekly": 0, "monthly": 6}
    assert json.loads(files(SITE)["keeper.json"])["at"] == "03:00"


def test_what_a_site_lacks_is_not_backed_up() -> None:
    assert SITE.registry is not None
    images = {k: i for k, i in SITE.registry.images.items() if k not in {"grafana", "minio"}}
    registry = SITE.registry.model_copy(update={"images": images, "simulated": ()})
    found = files(SITE.model_copy(update={"registry": registry}))
    told = json.loads(found["keeper.json"])
    assert (told["minio"], told["grafana"]) == (None, None)
    assert found.keys() == {"keeper.json", "postgres-password"}


@pytest.mark.parametrize("name", ["homelab", "sandbox"])
def test_whatever_is_kept_has_a_backup_made_before_another_image_runs(name: str) -> None:
    site = load(name)
    containers = record_site(site).of_type("Container")
    found = scripts(site)
    assert found.keys() == set(KEPT)
    for reference, script in found.items():
        assert script.inputs["host"] == "pi31"
        assert script.inputs["triggers"] == [site.placement(reference).image]
        assert script.inputs["whenNew"] is False
        assert script.urn in containers[reference].depends_on


def test_a_backup_waits_for_nothing_so_that_no_circle_is_made() -> None:
    recording = record_site(SITE)
    for script in scripts(SITE).values():
        assert script.depends_on == frozenset()
    containers = recording.of_type("Container")
    assert {containers[reference].urn for reference in KEPT}.isdisjoint(
        containers["pi31.backup"].depends_on
    )


def test_without_a_backup_service_nothing_is_made_before_an_upgrade() -> None:
    assert SITE.registry is not None
    images = {k: i for k, i in SITE.registry.images.items() if k != "backup"}
    registry = SITE.registry.model_copy(update={"images": images})
    assert scripts(SITE.model_copy(update={"registry": registry})) == {}


def test_no_other_machine_than_the_backups_may_connect_for_them() -> None:
    address = SITE.hosts["pi31"].address
    for reference in KEPT:
        placement = SITE.placement(reference)
        flows = {flow.port: flow for flow in flows_into(SITE, placement.host_name)}
        sources = flows[placement.ports[placement.first_port]].sources
        assert any(address in source for source in sources)


def test_the_role_for_backups_may_read_and_no_more() -> None:
    script = schema_script("postgres", dict.fromkeys(("assistant", "monitor", "backup"), "x"))
    granted = re.findall(r"^GRANT (.*) TO .*\bbackup\b", script, re.MULTILINE)
    assert granted == ["pg_read_all_data", "CONNECT ON DATABASE hearth"]


DOCKER = """#!/bin/sh
echo "$*" >>{folder}/said
case "$1" in
    inspect) [ -e {folder}/there ] && echo true ;;
    exec) echo 'pi52.minio: refuses' >&2; exit $(cat {folder}/code) ;;
esac
"""


@pytest.mark.parametrize(
    ("there", "code", "ends"),
    [(True, 0, 0), (True, 1, 1), (True, 2, 2), (True, NOTHING_YET, 0), (False, 1, 0)],
    ids=["made", "failed", "wrong settings", "nothing yet", "no container"],
)
def test_an_upgrade_goes_on_where_there_is_a_backup_or_nothing_to_back_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool, code: int, ends: int
) -> None:
    monkeypatch.setattr("components.homelab.service.REPLACED_SECONDS", 1)
    (tmp_path / "docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "code").write_text(str(code))
    if there:
        (tmp_path / "there").touch()
    ran = subprocess.run(
        ["sh"],
        input=backup_script("backup", "pi52.postgres"),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == ends, ran.stderr
    made = "exec backup python3 -m services.keeper backup --reason before an upgrade"
    assert (made in (tmp_path / "said").read_text()) == there
    if not there:
        assert ran.stdout == "no container backup: pi52.postgres is upgraded without a backup\n"


def test_the_script_knows_the_programs_word_for_nothing_yet() -> None:
    assert NOTHING_YET == keeper.NOTHING_YET


def test_a_real_machine_builds_the_stage_of_its_program() -> None:
    images = record_site(load("homelab")).of_type("RemoteImage")
    dockerfile = (programs.FOLDER / "Dockerfile").read_text()
    stages = re.findall(r"^FROM \S+ AS (\w+)", dockerfile, re.MULTILINE)
    for name in ("agx0.assistant", "pi31.backup"):
        target = images[name].inputs["build"]["target"]
        assert target == name.partition(".")[2]
        assert target in stages


def test_a_real_machines_pg_dump_is_as_new_as_its_postgres() -> None:
    dockerfile = (programs.FOLDER / "Dockerfile").read_text()
    client = re.search(r"postgresql-client-(\d+)", dockerfile)
    server = re.search(r"postgres:(\d+)", KINDS["postgres"].image)
    assert client is not None
    assert server is not None
    assert client[1] == server[1]
    assert f"/usr/lib/postgresql/{client[1]}/bin" in dockerfile
