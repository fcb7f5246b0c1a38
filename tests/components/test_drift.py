"""The drift check is told what every other service should be, and nothing of what it contains."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.homelab.drift import folder_digest
from inventory.loading import load
from inventory.model import Site
from inventory.paths import PROJECT
from provider.files import file_digest
from services.driftcheck.settings import Settings
from tests.components.recorder import Recording, opened, record_site, secret_texts

SCRIPT = PROJECT / "deploys" / "scripts" / "hearth-metrics.sh"
CHECK = "pi31.drift-check"


@pytest.fixture(scope="module", params=["homelab", "sandbox"])
def site(request: pytest.FixtureRequest) -> Site:
    return load(request.param)


@pytest.fixture(scope="module")
def recording(site: Site) -> Recording:
    return record_site(site)


def told(recording: Recording) -> dict[str, Any]:
    """The settings that the drift check is given."""
    text = recording.of_type("Files")[CHECK].inputs["files"]["drift-check.json"]
    assert isinstance(text, str), "it holds no secret, and is not taken for one"
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_the_program_takes_what_the_stack_writes(site: Site, recording: Recording) -> None:
    settings = Settings.model_validate_json(json.dumps(told(recording)))
    assert settings.name == CHECK
    assert settings.prometheus == "http://192.168.1.147:9090"
    assert settings.every_seconds == site.drift_interval.total_seconds()
    assert settings.machines.keys() == site.hosts.keys()
    assert settings.machines["pi41"].tier == "monitoring"
    assert settings.authority == "the-authority"
    (certificate,) = settings.certificates
    assert (certificate.service, certificate.port) == ("pi51.nginx", 443)
    assert certificate.address == "192.168.1.147"


def test_it_knows_every_service_but_itself(site: Site, recording: Recording) -> None:
    provisioned = {p.reference for p in site.placements() if p.provisioned}
    assert CHECK in provisioned
    assert told(recording)["services"].keys() == provisioned - {CHECK}


def test_a_service_should_run_the_image_and_have_the_files_that_are_declared(
    recording: Recording,
) -> None:
    files = recording.of_type("Files")
    for name, service in told(recording)["services"].items():
        assert service["image"] == f"sha256:{name}"
        if name in files:
            texts = opened(files[name].inputs["files"])
            digests = {path: file_digest(opened(text)) for path, text in texts.items()}
            assert service["settings"] == folder_digest(digests)
        else:
            assert service["settings"] is None


def test_it_is_told_no_secret(site: Site, recording: Recording) -> None:
    text = json.dumps(told(recording))
    assert [secret for secret in secret_texts(site) if secret in text] == []


def test_its_settings_come_after_all_that_they_are_about(recording: Recording) -> None:
    settings = recording.of_type("Files")[CHECK]
    others = {r.urn for name, r in recording.of_type("Files").items() if name != CHECK}
    assert others <= settings.depends_on
    assert settings.urn not in settings.depends_on


def test_a_change_elsewhere_makes_it_no_new_container(recording: Recording) -> None:
    labels = recording.of_type("Container")[CHECK].inputs["labels"]
    assert [label["label"] for label in labels] == ["hearth.service"]


def test_another_machine_of_its_tier_is_known_to_it_wherever_the_site_names_it() -> None:
    site = load("homelab")
    # Named after it, and declared before it all the same.
    more = site.hosts["pi31"].model_copy(
        update={
            "address": site.network.cidr[77],
            "services": {"node-exporter": site.hosts["pi31"].services["node-exporter"]},
        }
    )
    wider = site.model_copy(update={"hosts": {**site.hosts, "pi32": more}})
    assert "pi32.node-exporter" in told(record_site(wider))["services"]


def test_a_machine_that_cannot_tell_is_not_asked_about() -> None:
    site = load("homelab")
    services = dict(site.hosts["nano"].services)
    del services["node-exporter"]
    nano = site.hosts["nano"].model_copy(update={"services": services})
    silent = told(record_site(site.model_copy(update={"hosts": {**site.hosts, "nano": nano}})))
    assert "nano" not in silent["machines"]
    assert not [name for name in silent["services"] if name.startswith("nano.")]


def test_what_does_not_answer_is_neither_waited_for_nor_judged() -> None:
    recording = record_site(load("homelab"), "agx0")
    assert not [name for name in told(recording)["services"] if name.startswith("agx0.")]
    assert "agx0" not in told(recording)["machines"]
    of_absent = {r.urn for r in recording.resources if r.name.partition(".")[0] == "agx0"}
    assert of_absent
    assert of_absent.isdisjoint(recording.of_type("Files")[CHECK].depends_on)


def test_a_machine_makes_the_same_digest_of_the_same_files(tmp_path: Path) -> None:
    texts = {
        "nginx.conf": "events {}\n",
        "dashboards/a.json": "{}\n",
        "dashboards/B.json": "[]\n",
        "a file": "with a blank\n",
        "empty": "",
    }
    for path, text in texts.items():
        place = tmp_path / "etc/hearth/services/nginx" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (tmp_path / "var/lib/hearth/metrics").mkdir(parents=True)
    subprocess.run(
        ["sh", SCRIPT, "pi51"],
        env={"HEARTH_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        timeout=30,
    )
    digest = folder_digest({path: file_digest(text) for path, text in texts.items()})
    written = (tmp_path / "var/lib/hearth/metrics/hearth.prom").read_text()
    assert f'hearth_settings_digest{{service="pi51.nginx",digest="{digest}"}} 1\n' in written
