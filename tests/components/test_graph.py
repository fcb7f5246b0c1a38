"""What the homelab stack asks the engine for: every provisioned service once, where it belongs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pulumi
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.homelab.machine import COMPONENTS
from components.homelab.secrets import Secrets
from components.homelab.service import Service, ServiceArgs
from inventory.loading import load
from inventory.model import Placement, Site
from inventory.services import KINDS
from inventory.units import MIB
from tests import generate
from tests.components.recorder import (
    SSH_CONFIG,
    TLS_KEY,
    Recorded,
    Recording,
    is_secret,
    opened,
    password_of,
    public_texts,
    record,
    record_site,
    secret_texts,
)

MINIMAL = Path(__file__).parents[1] / "sites" / "valid" / "minimal.yaml"
SECRET_FILES = {
    "tls.key": TLS_KEY,
    "kong.yaml": password_of("pi51-redis-default"),
    "redis-password": password_of("pi51-redis-default"),
    "keys.map": " phone",
    "redis.conf": "password-of-",
    "passwords.json": password_of("pi52-redis-default"),
    "password": password_of("pi52-postgres-monitor"),
    "owner": password_of("pi52-postgres-owner"),
    "root-password": password_of("pi52-minio-root"),
    "admin": "-admin",
    "local.json": password_of("pi52-redis-default"),
    "pgpass": password_of("pi52-postgres-dashboards"),
    "postgres-password": password_of("pi52-postgres-backup"),
    "minio-password": password_of("pi52-minio-backup"),
    "grafana-password": password_of("pi41-grafana-admin"),
    "assistant.json": password_of("pi52-postgres-assistant"),
}
"""Files with a secret, and what must be in them."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A site and what was recorded of it."""

    site: Site
    recording: Recording

    @property
    def provisioned(self) -> list[Placement]:
        """The services that have to be there."""
        return [p for p in self.site.placements() if p.provisioned]

    @property
    def containers(self) -> dict[str, Recorded]:
        """By `host.service`."""
        return self.recording.of_type("Container")

    def files(self, reference: str) -> dict[str, object]:
        """A service's settings by their names, secrets in their envelopes."""
        settings = self.recording.of_type("Files").get(reference)
        return dict(opened(settings.inputs["files"])) if settings else {}


def recorded(site: str) -> Lab:
    loaded = load(site)
    return Lab(loaded, record_site(loaded))


@pytest.fixture(scope="module")
def homelab() -> Lab:
    return recorded("homelab")


@pytest.fixture(scope="module")
def sandbox() -> Lab:
    return recorded("sandbox")


@pytest.fixture(
    scope="module", params=["homelab", "sandbox", str(MINIMAL)], ids=lambda s: Path(s).stem
)
def lab(request: pytest.FixtureRequest) -> Lab:
    return recorded(request.param)


def test_a_failed_assertion_in_a_callback_fails_the_recording() -> None:
    def program() -> None:
        def refuse(value: int) -> None:
            assert value == 1, "seen"

        pulumi.Output.from_input(2).apply(refuse)

    with pytest.raises(AssertionError, match="seen"):
        record(program)


def test_a_recording_leaves_nothing_to_the_next(homelab: Lab) -> None:
    names = sorted(r.urn for r in homelab.recording.resources)
    assert sorted(r.urn for r in record_site(homelab.site).resources) == names


def test_every_provisioned_service_has_one_container_and_planned_ones_have_none(lab: Lab) -> None:
    containers = [r.name for r in lab.recording.resources if r.type.endswith(":Container")]
    assert sorted(containers) == sorted(p.reference for p in lab.provisioned)


def test_planned_services_make_no_resource(lab: Lab) -> None:
    planned = {p.reference for p in lab.site.placements() if not p.provisioned}
    assert {r.name for r in lab.recording.resources}.isdisjoint(planned)


def test_a_planned_service_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "comfyui", replace(KINDS["comfyui"], container=None))
    placement = load("homelab").placement("orin0.comfyui")

    def program() -> None:
        Service(placement.reference, ServiceArgs(placement, "lab", Secrets({}, "", "", "")))

    with pytest.raises(pulumi.RunError, match=r"orin0\.comfyui: comfyui is only planned"):
        record(program)


def test_a_container_belongs_to_its_service_and_that_to_its_machine(lab: Lab) -> None:
    for placement in lab.provisioned:
        service = lab.recording.at(lab.containers[placement.reference].parent)
        component = COMPONENTS.get(placement.kind_name, Service).__name__
        assert (service.type, service.name) == (
            f"hearth:homelab:{component}",
            placement.reference,
        )
        machine = lab.recording.at(service.parent)
        assert (machine.type, machine.name) == ("hearth:homelab:Machine", placement.host_name)


def test_every_component_is_of_a_kind_that_can_be_provisioned() -> None:
    assert {kind for kind in COMPONENTS if KINDS[kind].container is None} == set()


def test_every_docker_resource_is_made_by_its_own_machines_engine(lab: Lab) -> None:
    made = [r for r in lab.recording.resources if r.type.startswith("docker:")]
    assert made
    for resource in made:
        host = resource.name.partition(".")[0]
        assert resource.provider_name == host, resource.urn


def test_a_machines_engine_is_reached_by_the_sites_own_ssh(lab: Lab) -> None:
    for name, provider in lab.recording.of_type("docker").items():
        assert provider.inputs["host"] == f"ssh://{name}"
        assert yaml.safe_load(provider.inputs["sshOpts"]) == ["-F", str(SSH_CONFIG)]
    assert set(lab.recording.of_type("docker")) == {p.host_name for p in lab.provisioned}


def test_memory_is_limited_to_the_sites_figure_and_there_is_no_swap(lab: Lab) -> None:
    for placement in lab.provisioned:
        inputs = lab.containers[placement.reference].inputs
        limit = placement.memory_bytes // MIB
        assert (inputs["memory"], inputs["memorySwap"]) == (limit, limit)


def test_the_sites_own_memory_figures_reach_docker(homelab: Lab) -> None:
    limits = {name: c.inputs["memory"] for name, c in homelab.containers.items()}
    stated = {"pi51.redis": 256, "agx0.ollama": 8192, "orin0.ollama": 512, "pi52.postgres": 2048}
    assert {name: limits[name] for name in stated} == stated


def test_a_container_can_do_no_more_than_its_service_needs(lab: Lab) -> None:
    for placement in lab.provisioned:
        inputs, shape = lab.containers[placement.reference].inputs, placement.kind.container
        assert shape is not None
        assert inputs["readOnly"] is True
        assert inputs["capabilities"]["drops"] == ["ALL"]
        assert tuple(inputs["capabilities"].get("adds", ())) == shape.capabilities
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert all(mount["readOnly"] for mount in inputs.get("mounts", []))


def test_every_containers_processes_are_limited(lab: Lab) -> None:
    scripts = lab.recording.of_type("Script")
    for placement in lab.provisioned:
        script = scripts[f"{placement.host_name}.processes"].inputs
        assert f"docker update --pids-limit 256 {placement.name} " in script["script"] or (
            f"docker update --pids-limit 1024 {placement.name} " in script["script"]
        )
        assert f"{placement.reference}-id" in script["triggers"]


def test_a_log_line_tells_whose_it_is(lab: Lab) -> None:
    for container in lab.containers.values():
        assert container.inputs["logOpts"]["tag"] == "{{.Name}}"


def test_every_container_comes_back_and_is_awaited(lab: Lab) -> None:
    for placement in lab.provisioned:
        inputs, shape = lab.containers[placement.reference].inputs, placement.kind.container
        assert inputs["restart"] == "unless-stopped"
        assert inputs["mustRun"] is True
        if shape and shape.health_check:
            assert inputs["wait"] is True
            assert inputs["healthcheck"]["tests"] == ["CMD", *shape.health_check.command]
        else:
            # Nothing in it can tell: to wait for its health would be to wait for ever.
            assert inputs["wait"] is False


def test_hardly_any_service_cannot_tell_its_health(homelab: Lab) -> None:
    silent = {n.partition(".")[2] for n, c in homelab.containers.items() if not c.inputs["wait"]}
    assert silent == {"collector", "loki"}


def test_a_container_outlasts_its_health_checks_start_period(lab: Lab) -> None:
    for container in lab.containers.values():
        if container.inputs["wait"]:
            minutes, _, seconds = container.inputs["healthcheck"]["startPeriod"].rpartition("m")
            start_period = 60 * int(minutes or 0) + float(seconds.removesuffix("s"))
            assert container.inputs["waitTimeout"] > start_period


def test_ports_are_published_where_another_machine_has_a_reason_to_connect(lab: Lab) -> None:
    for placement in lab.provisioned:
        shape, inputs = placement.kind.container, lab.containers[placement.reference].inputs
        published = [] if shape and shape.host_network else placement.published_ports
        beyond = [port for port in inputs.get("ports", []) if port["ip"] != "127.0.0.1"]
        assert [(port["external"], port["protocol"]) for port in beyond] == [
            (placement.ports[port], protocol)
            for port in published
            for protocol in placement.kind.protocols_of(port)
        ]
        assert {port["ip"] for port in beyond} <= {str(placement.published_on)}


def test_the_name_server_leaves_the_loopbacks_port_to_the_systems_resolver(homelab: Lab) -> None:
    ports = homelab.containers["pi31.network-tools"].inputs["ports"]
    assert [(port["ip"], port["external"], port["protocol"]) for port in ports] == [
        ("192.168.1.234", 53, "tcp"),
        ("192.168.1.234", 53, "udp"),
    ]
    everything = {p["ip"] for c in homelab.containers.values() for p in c.inputs.get("ports", [])}
    assert everything == {"0.0.0.0", "127.0.0.1", "192.168.1.234"}  # noqa: S104 - where it is published


def test_a_port_for_a_tunnel_is_reached_from_its_own_machine_alone(lab: Lab) -> None:
    for placement in lab.provisioned:
        shape, inputs = placement.kind.container, lab.containers[placement.reference].inputs
        own = [port for port in inputs.get("ports", []) if port["ip"] == "127.0.0.1"]
        tunnel = [placement.ports[placement.first_port]] if shape and shape.tunnel else []
        assert [port["external"] for port in own] == tunnel


def test_a_service_on_its_machines_own_network_is_on_no_other(lab: Lab) -> None:
    for placement in lab.provisioned:
        inputs, shape = lab.containers[placement.reference].inputs, placement.kind.container
        on_host = bool(shape and shape.host_network)
        assert (inputs.get("networkMode") == "host") == on_host
        assert ("networksAdvanced" in inputs) != on_host


def test_a_port_of_the_sites_own_choice_leads_to_the_services_own(tmp_path: Path) -> None:
    ollama = {"models": ["llama3.2"], "port": 11435}
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(generate.site([generate.Machine("ai", {"ollama": ollama})])))
    (port,) = record_site(load(str(file))).of_type("Container")["ai1.ollama"].inputs["ports"]
    assert (port["internal"], port["external"]) == (11434, 11435)


def test_the_engine_and_its_redis_are_reached_by_nobody_outside_the_gateway(homelab: Lab) -> None:
    assert "ports" not in homelab.containers["pi51.engine"].inputs
    assert "ports" not in homelab.containers["pi51.redis"].inputs


def test_volumes_outlive_their_containers_and_the_stack(lab: Lab) -> None:
    volumes = lab.recording.of_type("Volume")
    assert set(volumes) == {
        f"{p.reference}-{volume}"
        for p in lab.provisioned
        if p.kind.container
        for volume in p.kind.container.volumes
    }
    assert all(volume.retain_on_delete for volume in volumes.values())


def test_only_volumes_are_retained(lab: Lab) -> None:
    retained = {r.type for r in lab.recording.resources if r.retain_on_delete}
    assert retained <= {"docker:index/volume:Volume"}


def test_files_that_hold_secrets_are_secret_and_no_others(lab: Lab) -> None:
    for reference in lab.containers:
        for name, content in lab.files(reference).items():
            assert is_secret(content) == (name in SECRET_FILES), name
            if lab.site.name == "homelab" and name in SECRET_FILES:
                assert SECRET_FILES[name] in str(opened(content))


def test_every_secret_reaches_somebody(homelab: Lab) -> None:
    inputs = str([r.inputs for r in homelab.recording.resources])
    assert [text for text in secret_texts(homelab.site) if text not in inputs] == []


def test_no_secret_stands_anywhere_in_the_open(lab: Lab) -> None:
    secrets = secret_texts(lab.site)
    for resource in lab.recording.resources:
        for text in public_texts(resource.inputs):
            assert not any(secret in text for secret in secrets), resource.urn


def test_no_secret_is_an_environment_variable(lab: Lab) -> None:
    for container in lab.containers.values():
        assert not any(
            secret in env for secret in secret_texts(lab.site) for env in container.inputs["envs"]
        )


def test_settings_that_can_be_read_anew_make_no_new_container(lab: Lab) -> None:
    for placement in lab.provisioned:
        labels = lab.containers[placement.reference].inputs["labels"]
        digests = [label["value"] for label in labels if label["label"] == "hearth.settings"]
        shape = placement.kind.container
        read_anew = bool(shape and shape.reload) or not lab.files(placement.reference)
        assert digests == ([] if read_anew else [f"digest-of-{placement.reference}"])


def test_a_container_waits_for_its_settings(lab: Lab) -> None:
    for reference, files in lab.recording.of_type("Files").items():
        assert files.urn in lab.containers[reference].depends_on


def test_the_data_nodes_redis_keeps_everything_and_the_gateways_forgets(homelab: Lab) -> None:
    kept = str(opened(homelab.files("pi52.redis")["redis.conf"])).splitlines()
    counts = str(opened(homelab.files("pi51.redis")["redis.conf"])).splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(kept)
    assert {"appendonly no", "maxmemory-policy allkeys-lru"} <= set(counts)
    assert f"maxmemory {512 * MIB * 3 // 4}" in kept


def test_an_account_is_of_one_service_alone(homelab: Lab) -> None:
    accounts = list(homelab.site.accounts())
    assert len(set(accounts)) == len(accounts)
    assert "pi51-redis-default" in accounts
    assert "pi52-redis-default" in accounts


def test_gpu_memory_on_a_jetson_brings_nvidias_runtime_and_jetpacks_libraries(
    homelab: Lab,
) -> None:
    on_gpu = {n for n, c in homelab.containers.items() if c.inputs.get("runtime") == "nvidia"}
    assert on_gpu == {p.reference for p in homelab.provisioned if p.gpu_memory_bytes}
    assert on_gpu >= {"agx0.ollama", "orin0.ollama"}
    for name in ("agx0.ollama", "orin0.ollama"):
        assert "JETSON_JETPACK=6" in homelab.containers[name].inputs["envs"]


def test_a_sandbox_asks_for_no_gpu(sandbox: Lab) -> None:
    for container in sandbox.containers.values():
        assert "runtime" not in container.inputs
        assert not any(env.startswith("JETSON") for env in container.inputs["envs"])


def test_a_sandbox_pulls_from_the_labs_own_registry(sandbox: Lab) -> None:
    images = {i.inputs["name"] for i in sandbox.recording.of_type("RemoteImage").values()}
    assert images
    assert all(image.startswith("192.168.1.251:5000/hearth/") for image in images)


@pytest.mark.parametrize(("tier", "asked"), [("gateway", {"data", "ai", "edge"}), ("ai", {"data"})])
def test_a_tiers_containers_wait_for_those_that_they_ask(
    lab: Lab, tier: str, asked: set[str]
) -> None:
    behind = [p.reference for p in lab.provisioned if p.host.tier in asked]
    for placement in lab.provisioned:
        if placement.host.tier == tier:
            beside = lab.site.on_host(placement.host_name)
            used = {u.reference for p in beside for u in p.uses}
            wanted = {lab.containers[r].urn for r in behind if tier == "gateway" or r in used}
            assert wanted <= lab.containers[placement.reference].depends_on


def test_images_and_settings_wait_for_no_container(lab: Lab) -> None:
    containers = {container.urn for container in lab.containers.values()}
    kinds = [lab.recording.of_type(kind) for kind in ("RemoteImage", "Files")]
    made = [resource for kind in kinds for resource in kind.values()]
    assert made
    assert all(containers.isdisjoint(resource.depends_on) for resource in made)


def test_a_service_waits_for_those_beside_it_that_it_uses(lab: Lab) -> None:
    for placement in lab.provisioned:
        container = lab.containers[placement.reference]
        for used in placement.uses:
            if used.host_name == placement.host_name and used.provisioned:
                assert lab.containers[used.reference].urn in container.depends_on


def test_nothing_of_the_gateway_is_made_before_all_behind_it(lab: Lab) -> None:
    behind = {"data", "ai", "edge", "gateway"}
    order = [r.name for r in lab.recording.resources if r.type.endswith(":Container")]
    tiers = [lab.site.hosts[name.partition(".")[0]].tier for name in order]
    of_gateway = [tier == "gateway" for tier in tiers if tier in behind]
    assert of_gateway == sorted(of_gateway)


ollamas = st.fixed_dictionaries(
    {"models": st.just(["llama3.2"])},
    optional={"memory": st.sampled_from(["3GiB", "4096MiB", "5GiB"]), "port": st.just(11435)},
)
ai_machines = st.builds(
    generate.Machine,
    st.just("ai"),
    st.fixed_dictionaries({}, optional={"ollama": ollamas, "node-exporter": st.just({})}),
)
data_services = st.fixed_dictionaries(
    {}, optional={"clients": st.just(["gateway"]), "memory": st.just("768MiB")}
)
data_machines = st.builds(
    generate.Machine,
    st.just("data"),
    st.fixed_dictionaries(
        {}, optional={"postgres": data_services, "redis": data_services, "minio": data_services}
    ),
)
sites = st.builds(
    generate.site,
    st.lists(ai_machines | data_machines, max_size=6),
    engine=st.sampled_from(["haproxy", "kong"]),
)


@settings(max_examples=25, deadline=None, database=None)
@given(sites)
def test_whatever_the_site_its_provisioned_services_run_within_limits(
    document: dict[str, object],
) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(document, file)
        file.flush()
        site = load(file.name)
    containers = record_site(site).of_type("Container")
    assert containers.keys() == {p.reference for p in site.placements() if p.provisioned}
    assert all(container.inputs["memory"] > 0 for container in containers.values())


def test_no_machine_waits_for_one_that_is_out_of_reach() -> None:
    site = load("homelab")
    made = record_site(site, "agx0", "pi31").resources
    away = {r.urn for r in made if r.name.split(".")[0] in {"agx0", "pi31"}}
    assert away
    waiting = [r.name for r in made if r.urn not in away and r.depends_on & away]
    assert waiting == []
    assert {r.urn for r in made} == {r.urn for r in record_site(site).resources}


def test_a_machines_resources_can_be_left_out_by_its_name(lab: Lab) -> None:
    """As `hearth.engine` does where a machine is out of reach."""
    for resource in lab.recording.resources:
        of_host = {r.provider_name for r in (resource,)} & set(lab.site.hosts)
        hosts = of_host or {str(resource.inputs.get("host", ""))} & set(lab.site.hosts)
        if resource.name.endswith("-backup"):
            continue  # where backups are made: goes with the service that waits for it
        for host in hosts:
            assert resource.name == host or resource.name.startswith(f"{host}."), resource.urn
