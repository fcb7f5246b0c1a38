"""Sound sites load; every defect is refused, with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from inventory import document
from inventory.errors import HearthError, SiteErrors
from inventory.loading import SITES, load, schema

INVALID = Path(__file__).parents[1] / "sites" / "invalid"
VALID = Path(__file__).parents[1] / "sites" / "valid"
EXPECT = "# expect "


def expectations(path: Path) -> set[str]:
    """The errors that a fixture says it must cause: `LINE WHERE: WHAT`."""
    lines = path.read_text().splitlines()
    return {line.removeprefix(EXPECT) for line in lines if line.startswith(EXPECT)}


def test_there_are_many_invalid_sites() -> None:
    assert len(list(INVALID.glob("*.yaml"))) >= 30


@pytest.mark.parametrize("path", sorted(INVALID.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_defect_is_refused_with_its_line_and_remedy(path: Path) -> None:
    with pytest.raises(SiteErrors) as caught:
        load(str(path))
    found = {f"{e.line} {e.where}".rstrip() + f": {e.what}" for e in caught.value.errors}
    assert found == expectations(path)


@pytest.mark.parametrize(
    "path", [*SITES.glob("*.yaml"), *VALID.glob("*.yaml")], ids=lambda p: p.stem
)
def test_a_sound_site_loads_and_its_file_fits_the_schema(path: Path) -> None:
    load(str(path))
    problems = list(Draft202012Validator(schema()).iter_errors(document.read(path).data))
    assert problems == []


def test_the_schema_refuses_an_unknown_name_in_a_site_and_in_an_overlay() -> None:
    validator = Draft202012Validator(schema())
    site = document.read(SITES / "homelab.yaml").data
    site["hosts"]["pi51"]["adress"] = "192.168.1.9"
    assert not validator.is_valid(site)
    assert not validator.is_valid({"extends": "homelab", "hosts": {"pi51": {"adress": "x"}}})


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "extends: homelab\nname: broken\nhosts:\n"
        "  pi41:\n    address: 192.168.1.147\n"
        "  pi52:\n    services:\n      redis: {memory: 12GiB}\n"
        "routes:\n  chat:\n    upstreams: [{service: agx0.assistant, weight: 70}]\n"
    )
    with pytest.raises(SiteErrors) as caught:
        load(str(broken))
    assert [(e.line, e.where) for e in caught.value.errors] == [
        (5, "hosts.pi41.address"),
        (7, "hosts.pi52.services"),
        (11, "routes.chat.upstreams"),
    ]


def test_an_overlay_adds_replaces_and_removes(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "extends: homelab\nname: mine\nhosts:\n  pi41: null\n"
        "  pi52:\n    address: 192.168.1.248\n"
        "  agx0:\n    services:\n      ollama: {models: [llama3.2, 'codellama:34b']}\n"
    )
    site, base = load(str(overlay)), load("homelab")
    assert set(base.hosts) - set(site.hosts) == {"pi41"}
    assert str(site.hosts["pi52"].address) == "192.168.1.248"
    assert site.hosts["agx0"].services["ollama"].models == ("llama3.2", "codellama:34b")
    assert (
        site.hosts["agx0"].services["ollama"].memory == base.placement("agx0.ollama").memory_bytes
    )


def test_a_site_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(
        HearthError, match=r"hoomlab: no such site .* name one of fixai, homelab, sandbox"
    ):
        load("hoomlab")


def test_the_homelab_is_as_it_was_drawn() -> None:
    site = load("homelab")
    assert {name: str(host.address) for name, host in site.hosts.items()} == {
        "pi51": "192.168.1.147",
        "agx0": "192.168.1.154",
        "orin0": "192.168.1.157",
        "pi52": "192.168.1.247",
        "pi41": "192.168.1.204",
        "nano": "192.168.1.159",
        "pi31": "192.168.1.234",
    }
    levels = {
        name: (
            route.service_level.requests_per_minute.low,
            route.service_level.requests_per_minute.high,
        )
        for name, route in site.routes.items()
    }
    assert levels == {"chat": (30, 50), "code": (15, 20), "image": (2, 4)}
    assert (site.sessions and (site.sessions.low, site.sessions.high)) == (10, 15)
    split = [(u.service, u.weight) for u in site.routes["chat"].upstreams]
    assert split == [("agx0.assistant", 80), ("orin0.assistant", 20)]
    assert site.routes["chat"].fallback == "nano.assistant"


def test_the_sandbox_is_the_homelab_with_an_overlay() -> None:
    homelab, sandbox = load("homelab"), load("sandbox")
    assert homelab.hosts.keys() == sandbox.hosts.keys()
    for name, host in homelab.hosts.items():
        assert sandbox.hosts[name].address == host.address
        assert sandbox.hosts[name].services.keys() == host.services.keys()
