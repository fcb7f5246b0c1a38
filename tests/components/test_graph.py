"""What the homelab stack asks the engine for: every provisioned service once, where it belongs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.homelab.service import Service, ServiceArgs
from inventory.loading import load
from inventory.model import Placement, Site
from inventory.units import MIB
from tests import generate
from tests.components.recorder import (
    PLAIN,
    SSH_CONFIG,
    Recorded,
    Recording,
    is_secret,
    opened,
    public_texts,
    record,
    record_site,
)

MINIMAL = Path(__file__).parents[1] / "sites" / "valid" / "minimal.yaml"
SECRET_FILES = {
    "/run/secrets/postgres-password": PLAIN["postgres"],
    "/etc/redis/redis.conf": PLAIN["redis"],
    "/etc/kong/kong.yaml": PLAIN["redis"],
    "/etc/nginx/tls/tls.key": PLAIN["tls_key"],
}


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

    def uploads(self, reference: str) -> dict[str, object]:
        """A container's files by their paths, secrets in their envelopes."""
        uploads = self.containers[reference].inputs["uploads"]
        return {upload["file"]: upload["content"] for upload in uploads}


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


def test_a_planned_service_is_refused_by_its_name() -> None:
    placement = load("homelab").placement("orin0.comfyui")

    def program() -> None:
        Service(placement.reference, ServiceArgs(placement, "lab"))

    with pytest.raises(pulumi.RunError, match=r"orin0\.comfyui: comfyui is only planned"):
        record(program)


def test_a_container_belongs_to_its_service_and_that_to_its_machines_tier(lab: Lab) -> None:
    tiers = {"gateway": "Gateway", "ai": "AiNode", "edge": "AiNode", "data": "DataNode"}
    for placement in lab.provisioned:
        service = lab.recording.at(lab.containers[placement.reference].parent)
        assert (service.type, service.name) == ("hearth:homelab:Service", placement.reference)
        node = lab.recording.at(service.parent)
        tier = tiers[placement.host.tier]
        assert (node.type, node.name) == (f"hearth:homelab:{tier}", placement.host_name)


def test_every_docker_resource_is_made_by_its_own_machines_engine(lab: Lab) -> None:
    made = [r for r in lab.recording.resources if r.type.startswith("docker:")]
    assert made
    for resource in made:
        host = resource.name.partition(".")[0].removesuffix("-lab")
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
    assert limits == {
        "pi51.nginx": 128,
        "pi51.engine": 1024,
        "pi51.redis": 256,
        "agx0.ollama": 8192,
        "orin0.ollama": 512,
        "nano.ollama": 1280,
        "pi52.postgres": 2048,
        "pi52.redis": 512,
    }


def test_every_container_comes_back_and_is_awaited(lab: Lab) -> None:
    for container in lab.containers.values():
        inputs = container.inputs
        assert inputs["restart"] == "unless-stopped"
        assert inputs["wait"] is True
        assert inputs["mustRun"] is True
        assert inputs["healthcheck"]["tests"][0] == "CMD"
        assert len(inputs["healthcheck"]["tests"]) > 1


def test_a_container_outlasts_its_health_checks_start_period(lab: Lab) -> None:
    for container in lab.containers.values():
        start_period = float(container.inputs["healthcheck"]["startPeriod"].removesuffix("s"))
        assert container.inputs["waitTimeout"] > start_period


def test_ports_are_published_where_another_machine_has_a_reason_to_connect(lab: Lab) -> None:
    published = {name for name, c in lab.containers.items() if c.inputs.get("ports")}
    assert published == {p.reference for p in lab.provisioned if p.published}


def test_a_port_of_the_sites_own_choice_leads_to_the_services_own(homelab: Lab) -> None:
    (port,) = homelab.containers["orin0.ollama"].inputs["ports"]
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


@pytest.mark.parametrize("site", ["homelab", "sandbox"])
def test_files_that_hold_secrets_are_secret_and_no_others(
    site: str, request: pytest.FixtureRequest
) -> None:
    lab: Lab = request.getfixturevalue(site)
    seen = set()
    for reference in lab.containers:
        for file, content in lab.uploads(reference).items():
            assert is_secret(content) == (file in SECRET_FILES), file
            if file in SECRET_FILES:
                assert SECRET_FILES[file] in str(opened(content))
                seen.add(file)
    engines = {"homelab": set(), "sandbox": {"/etc/kong/kong.yaml"}}
    assert seen == SECRET_FILES.keys() - engines[site]


def test_no_secret_stands_anywhere_in_the_open(lab: Lab) -> None:
    for resource in lab.recording.resources:
        for text in public_texts(resource.inputs):
            assert not any(secret in text for secret in PLAIN.values()), resource.urn


def test_the_postgres_password_is_a_file_and_no_setting(homelab: Lab) -> None:
    assert (
        opened(homelab.uploads("pi52.postgres")["/run/secrets/postgres-password"])
        == (PLAIN["postgres"])
    )
    envs = homelab.containers["pi52.postgres"].inputs["envs"]
    assert "POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password" in envs
    assert not any(env.startswith("POSTGRES_PASSWORD=") for env in envs)


def test_the_data_nodes_redis_keeps_everything_and_the_gateways_forgets(homelab: Lab) -> None:
    kept = str(opened(homelab.uploads("pi52.redis")["/etc/redis/redis.conf"])).splitlines()
    counts = str(opened(homelab.uploads("pi51.redis")["/etc/redis/redis.conf"])).splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(kept)
    assert {"appendonly no", "maxmemory-policy allkeys-lru"} <= set(counts)
    assert f"maxmemory {512 * MIB * 3 // 4}" in kept


def test_gpu_memory_on_a_jetson_brings_nvidias_runtime_and_jetpacks_libraries(
    homelab: Lab,
) -> None:
    on_gpu = {n for n, c in homelab.containers.items() if c.inputs.get("runtime") == "nvidia"}
    assert on_gpu == {"agx0.ollama", "orin0.ollama"}
    for name in on_gpu:
        assert "JETSON_JETPACK=6" in homelab.containers[name].inputs["envs"]


def test_a_sandbox_asks_for_no_gpu(sandbox: Lab) -> None:
    for container in sandbox.containers.values():
        assert "runtime" not in container.inputs
        assert not any(env.startswith("JETSON") for env in container.inputs["envs"])


def test_a_sandbox_pulls_from_the_labs_own_registry(sandbox: Lab) -> None:
    images = {i.inputs["name"] for i in sandbox.recording.of_type("RemoteImage").values()}
    assert images
    assert all(image.startswith("192.168.1.251:5000/hearth/") for image in images)


def test_the_gateway_waits_for_the_machines_that_it_asks(lab: Lab) -> None:
    (gateway,) = lab.recording.of_type("Gateway").values()
    behind = {lab.containers[p.reference].urn for p in lab.provisioned if p.host.tier != "gateway"}
    assert behind
    assert behind <= gateway.depends_on


def test_nginx_waits_for_the_engine_that_it_asks(lab: Lab) -> None:
    gateway = lab.site.gateway
    nginx = lab.recording.of_type("Service")[f"{gateway}.nginx"]
    assert lab.containers[f"{gateway}.engine"].urn in nginx.depends_on


def test_nothing_of_the_gateway_is_made_before_all_behind_it(lab: Lab) -> None:
    order = [r.name for r in lab.recording.resources if r.type.endswith(":Container")]
    of_gateway = [name.startswith(f"{lab.site.gateway}.") for name in order]
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
    gateway_services=st.just({"redis": {}}),
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
