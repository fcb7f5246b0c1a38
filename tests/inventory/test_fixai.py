"""What is wrong with a site's FixAI is told where it stands, and what two nodes cannot promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.secrets import CERTIFICATE, missing_settings
from inventory.errors import SiteErrors
from inventory.fixai_checks import notices
from inventory.loading import load
from inventory.paths import PROJECT


def written(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(f"extends: fixai\nname: mine\n{text}")
    return str(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "kubernetes: null\nhosts: {master01: {services: null}, worker01: {services: null}}",
            "fixai: runs in a cluster (none)",
        ),
        ("fixai: {nodes: {front: [master02]}}", "no node of the cluster (master02); did you mean"),
        ("fixai: {images: {kafca: a/b:1}}", "unknown image kafca; did you mean kafka?"),
        ("fixai: {kafka: {memory: 9GiB}}", "pods take"),
        ("fixai: {consumers: {incidents: {replicas: 2, most: 1}}}", "is below `replicas` (1 < 2)"),
        (
            "fixai: {kafka: {partitions: 1}, consumers: {clustering: {replicas: 2}}}",
            "more than reports.described has partitions (2 > 1)",
        ),
        ("fixai: {redis: {cpu: 3}}", "is above `cpu_limit` (3.0 > 1.0)"),
        (
            "fixai: {consumers: {description: {cpu: 3}}}",
            "fixai.consumers.description.cpu: is above `cpu_limit`",
        ),
        ("fixai: {tunnel: {by: ngrok}}", "fixai.tunnel.url: missing"),
        (
            "sandbox: null\nregistry: null\nfixai: {store_metrics: false}",
            "fixai is in no public registry",
        ),
        ("fixai: {domain: fixai}", "fixai.domain"),
    ],
)
def test_a_defect_is_refused_with_its_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SiteErrors) as caught:
        load(written(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert any(says in line for line in lines), lines


def test_the_page_of_two_machines_describes_a_sound_site(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "how-to" / "fixai-on-two-vms.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "city.yaml"
    file.write_text("\n".join(line.removeprefix("   ") for line in text.splitlines()))
    site = load(str(file))
    assert site.fixai is not None
    assert site.sandbox is None
    assert site.fixai.kafka.profile == "kraft"
    assert "fixai-llm" not in set(site.accounts())


def test_two_nodes_say_what_they_cannot_promise() -> None:
    said = "\n".join(notices(load("fixai")))
    for what in ("no quorum", "`kraft` is recommended", "llm: simulated", "tunnel: simulated"):
        assert what in said
    assert notices(load("homelab")) == []


def test_every_claim_is_on_the_node_of_what_it_is_for() -> None:
    fixai = load("fixai").fixai
    assert fixai is not None
    hosts = {demand.name: demand.hosts for demand in fixai.demands()}
    for name, claim in fixai.claims.items():
        if name in hosts:
            assert hosts[name] == (claim.host,)


def test_the_certificates_key_and_all_passwords_are_generated_once() -> None:
    site = load("fixai")
    made = {setting.key: setting for setting in missing_settings({}, site)}
    assert site.fixai is not None
    assert set(site.fixai.accounts) <= made.keys()
    assert all(made[key].secret for key in site.fixai.accounts)
    present = {key: None if s.secret else s.value for key, s in made.items()}
    assert missing_settings(present, site) == []
    renamed = site.model_copy(
        update={"fixai": site.fixai.model_copy(update={"domain": "fixai.example.org"})}
    )
    assert CERTIFICATE in {setting.key for setting in missing_settings(present, renamed)}
