"""What the FixAI stack promises, on the graph that it registers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.fixai.application import settings_text
from components.fixai.kafka import Kafka, KafkaArgs, cluster_id
from components.fixai.objects import Storage
from components.fixai.pods import Image, Where
from components.fixai.traefik import Certificate
from inventory.fixai import ACCOUNTS, CONSUMED
from inventory.fixai import Kafka as KafkaSettings
from inventory.units import GIB, MIB
from policies.catalogue import IN_CLUSTERS
from policies.graph import Graph, judge
from policies.wire import resource_of
from stacks import fixai
from tests.components.fixai.whole import (
    KUBECONFIG,
    PREFIX,
    TLS_KEY,
    WORKLOADS,
    containers,
    recorded,
    site,
    templates,
    whole,
)
from tests.components.recorder import Recorded, Recording, public_texts, record

each_profile = pytest.mark.parametrize("profile", ["zookeeper", "kraft"])
DRAWN = {
    "master01": {"zookeeper", "kafka", "minio", "backend", "traefik", "outbox", "tunnel"},
    "worker01": {"cassandra", "redis", *CONSUMED},
}
SECRETS_OF = {
    "backend": {"backend", "cassandra", "minio", "redis"},
    "outbox": {"cassandra"},
    "description": {"cassandra", "llm", "minio"},
    "clustering": {"cassandra"},
    "incidents": {"cassandra", "llm"},
    "migrate": {"cassandra", "minio-backup"},
    "gemini": {"llm"},
    "kafka": set(),
    "zookeeper": set(),
    "cassandra": set(),
    "redis": {"redis-server"},
    "minio": {"minio-root"},
    "buckets": {"minio-root", "minio", "minio-backup"},
    "backup-cassandra": {"cassandra", "minio-backup"},
    "backup-pictures": {"minio-backup"},
    "prometheus": set(),
    "traefik": {"traefik-tls"},
    "tunnel": {"traefik-tls"},
}


def named(recording: Recording, kind: str) -> dict[str, Recorded]:
    """The objects of a kind by their name in the cluster."""
    return {r.inputs["metadata"]["name"]: r for r in recording.of_type(kind).values()}


def nodes_of(template: dict[str, Any]) -> list[str]:
    affinity = template["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("kubernetes.io/hostname", "In")
    found: list[str] = expression["values"]
    return found


def checksums(recording: Recording) -> dict[str, str]:
    return {
        name: template["metadata"]["annotations"]["hearth.dev/settings"]
        for name, template in templates(recording).items()
    }


@each_profile
def test_pods_are_on_the_nodes_that_the_drawing_shows(profile: str) -> None:
    found = templates(whole(profile))
    for node, workloads in DRAWN.items():
        for workload in workloads & found.keys():
            assert nodes_of(found[workload]) == [node], workload
    assert ("zookeeper" in found) is (profile == "zookeeper")


@each_profile
def test_nothing_secret_is_anywhere_but_in_secrets(profile: str) -> None:
    recording = whole(profile)
    hidden = [TLS_KEY, *(f"{PREFIX}{name}" for name in ACCOUNTS)]
    for resource in recording.resources:
        for text in public_texts(resource.inputs):
            assert not [secret for secret in hidden if secret in text], resource.name
    kept = json.dumps([r.inputs for r in recording.of_type("Secret").values()])
    assert [secret for secret in hidden if secret not in kept] == []


@each_profile
def test_each_workload_sees_its_own_secrets_and_no_others(profile: str) -> None:
    found = {
        name: {v["secret"]["secretName"] for v in t["spec"]["volumes"] if "secret" in v}
        for name, t in templates(whole(profile)).items()
    }
    assert found == {name: SECRETS_OF[name] for name in found}
    made = {
        (r.inputs["metadata"]["namespace"], r.inputs["metadata"]["name"])
        for r in whole(profile).of_type("Secret").values()
    }
    spaces = {
        r.inputs["metadata"]["name"]: r.inputs["metadata"]["namespace"]
        for r in whole(profile).resources
        if r.type.endswith(WORKLOADS)
    }
    assert {(spaces[n], secret) for n, s in found.items() for secret in s} <= made


def test_secrets_are_files_in_folders_where_the_programs_look_for_them() -> None:
    (container,) = containers(templates(whole())["migrate"])
    folders = {m["mountPath"] for m in container["volumeMounts"] if m["name"].startswith("secret")}
    assert folders == {"/run/secrets/fixai/cassandra", "/run/secrets/fixai/minio"}
    (volume,) = [
        v["secret"]
        for v in templates(whole())["backend"]["spec"]["volumes"]
        if v.get("secret", {}).get("secretName") == "backend"
    ]
    assert [item["path"] for item in volume["items"]] == ["token-key"]


def test_a_changed_setting_starts_the_pods_anew_that_read_it_and_no_others() -> None:
    before = checksums(whole())
    assert before == checksums(recorded(site()))
    model = checksums(recorded(site(llm={"model": "gemini-3"})))
    changed = {name for name in before if before[name] != model[name]}
    roles = {"backend", "outbox", *CONSUMED, "migrate", "gemini", "backup-cassandra"}
    assert changed == roles
    topics = checksums(recorded(site(kafka={"partitions": 12})))
    assert {name for name in before if before[name] != topics[name]} == roles | {"kafka"}


def test_a_changed_password_starts_the_pods_anew_that_present_it_and_no_others() -> None:
    passwords = {name: f"{PREFIX}{name}" for name in ACCOUNTS}

    def with_(**changes: str) -> dict[str, str]:
        secrets = fixai.Secrets(passwords | changes, Certificate("a", TLS_KEY, "c"))
        return checksums(record(lambda: fixai.declare(site(), secrets, KUBECONFIG)))

    before, after = with_(), with_(redis="another")
    assert {name for name in before if before[name] != after[name]} == {"redis", "backend"}


@each_profile
def test_a_service_leads_to_ports_that_its_pods_have(profile: str) -> None:
    recording = whole(profile)
    pods = templates(recording)
    for name, service in named(recording, "Service").items():
        spec = service.inputs["spec"]
        workload = spec["selector"]["app.kubernetes.io/name"]
        assert spec["selector"].items() <= pods[workload]["metadata"]["labels"].items()
        ports = {p["name"] for c in containers(pods[workload]) for p in c.get("ports", ())}
        assert {port["targetPort"] for port in spec["ports"]} <= ports, name


def test_only_the_gateway_is_reached_from_outside_and_at_its_nodes_address_alone() -> None:
    outside = {
        name: service.inputs["spec"]
        for name, service in named(whole(), "Service").items()
        if service.inputs["spec"].keys() & {"externalIPs", "type", "loadBalancerIP"}
    }
    assert outside.keys() == {"traefik"}
    assert outside["traefik"]["externalIPs"] == ["10.20.0.11"]
    assert outside["traefik"]["externalTrafficPolicy"] == "Local"
    assert [port["port"] for port in outside["traefik"]["ports"]] == [80, 443]


@each_profile
def test_data_is_in_a_folder_of_the_node_that_its_pod_is_on(profile: str) -> None:
    recording = whole(profile)
    volumes = {
        v.inputs["spec"]["claimRef"]["name"]: v.inputs["spec"]
        for v in recording.of_type("PersistentVolume").values()
    }
    claims = named(recording, "PersistentVolumeClaim")
    assert volumes.keys() == claims.keys()
    used = {}
    for name, template in templates(recording).items():
        for volume in template["spec"]["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                used[claim["claimName"]] = name
    assert used.keys() == claims.keys()
    for claim, workload in used.items():
        spec, volume = claims[claim].inputs["spec"], volumes[claim]
        assert spec["volumeName"] == f"fixai-{claim}"
        assert spec["resources"]["requests"]["storage"] == volume["capacity"]["storage"]
        assert volume["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["local"]["path"] == f"/var/lib/fixai/{claim}"
        (term,) = volume["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == nodes_of(templates(recording)[workload])


def test_copies_are_on_another_node_than_what_they_are_of() -> None:
    found = templates(whole())
    assert nodes_of(found["backup-pictures"]) != nodes_of(found["minio"])
    # Cassandra's go into MinIO.
    assert nodes_of(found["minio"]) != nodes_of(found["cassandra"])
    for name, job in named(whole(), "CronJob").items():
        assert job.inputs["spec"]["schedule"] == "30 2 * * *", name
        assert job.inputs["spec"]["concurrencyPolicy"] == "Forbid"


@each_profile
def test_replicas_of_one_version_are_spread_over_their_nodes(profile: str) -> None:
    for name, deployment in named(whole(profile), "Deployment").items():
        spec = deployment.inputs["spec"]["template"]["spec"]
        (constraint,) = spec["topologySpreadConstraints"]
        assert constraint["matchLabelKeys"] == ["pod-template-hash"], name
        assert constraint["nodeTaintsPolicy"] == "Honor"
        assert constraint["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}


@each_profile
def test_pods_have_time_to_drain_before_they_are_killed(profile: str) -> None:
    for name, template in templates(whole(profile)).items():
        for container in template["spec"]["containers"]:
            waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            least = waits.get("seconds", 0) + 20
            assert template["spec"]["terminationGracePeriodSeconds"] > least, name
    backend = templates(whole(profile))["backend"]["spec"]["containers"][0]
    assert backend["lifecycle"]["preStop"]["sleep"]["seconds"] == 5


def properties(profile: str) -> dict[str, str]:
    data = named(whole(profile), "ConfigMap")["kafka"].inputs["data"]["server.properties"]
    return dict(line.split("=", 1) for line in data.splitlines())


@each_profile
def test_clients_find_the_broker_at_one_address_whichever_the_profile(profile: str) -> None:
    found = properties(profile)
    assert "CLIENTS://kafka:9092" in found["advertised.listeners"]
    assert found["auto.create.topics.enable"] == "false"
    assert found["num.partitions"] == "6"


def test_a_broker_has_a_coordinator_or_is_its_own() -> None:
    drawn, recommended = properties("zookeeper"), properties("kraft")
    assert drawn["zookeeper.connect"] == "zookeeper:2181"
    assert "process.roles" not in drawn
    assert recommended["process.roles"] == "broker,controller"
    assert "zookeeper.connect" not in recommended
    assert drawn["log.dirs"] != recommended["log.dirs"]
    assert {r.name for r in whole("kraft").resources if "zookeeper" in r.name} == set()
    assert cluster_id("kafka") == cluster_id("kafka")
    assert len(cluster_id("kafka")) == 22


def test_the_vendors_image_is_started_by_the_vendors_commands() -> None:
    public = site(kafka={"profile": "kraft"}, images={"fixai": "registry.example.org/fixai:1"})
    found = templates(recorded(public.model_copy(update={"registry": None})))
    (broker,), (begins,) = (
        found["kafka"]["spec"]["containers"],
        found["kafka"]["spec"]["initContainers"],
    )
    assert broker["image"].startswith("docker.io/apache/kafka:3.9")
    assert broker["command"][0] == "/opt/kafka/bin/kafka-server-start.sh"
    assert begins["command"][:3] == [
        "/opt/kafka/bin/kafka-storage.sh",
        "format",
        "--ignore-formatted",
    ]
    assert found["cassandra"]["spec"]["containers"][0]["command"][0] == "cassandra"
    ours = templates(whole("kraft"))["kafka"]["spec"]
    assert "initContainers" not in ours
    assert ours["containers"][0]["args"] == ["/etc/kafka-settings/server.properties"]


def routes() -> dict[str, Any]:
    text = named(whole(), "ConfigMap")["traefik"].inputs["data"]["routes.yaml"]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_gateway_speaks_tls_1_2_or_newer_and_sends_plain_requests_there() -> None:
    static = yaml.safe_load(named(whole(), "ConfigMap")["traefik"].inputs["data"]["traefik.yaml"])
    assert routes()["tls"]["options"]["default"]["minVersion"] == "VersionTLS12"
    redirect = static["entryPoints"]["http"]["http"]["redirections"]["entryPoint"]
    assert (redirect["scheme"], redirect["permanent"]) == ("https", True)
    assert all(r["entryPoints"] == ["https"] for r in routes()["http"]["routers"].values())
    assert static["providers"].keys() == {"file"}


def test_live_updates_are_limited_but_never_held_back() -> None:
    routers = routes()["http"]["routers"]
    assert "body" not in routers["live"]["middlewares"]
    assert set(routers["requests"]["middlewares"]) == {"limit", "headers", "body"}
    assert {"limit", "headers"} <= set(routers["live"]["middlewares"])
    body = routes()["http"]["middlewares"]["body"]["buffering"]["maxRequestBodyBytes"]
    assert body > 4 * 5 * MIB


def test_the_gateway_asks_the_backend() -> None:
    (server,) = routes()["http"]["services"]["backend"]["loadBalancer"]["servers"]
    assert server == {"url": "http://backend.fixai.svc.cluster.local:8000"}


def test_consumers_scale_between_two_numbers_whatever_decides() -> None:
    by_cpu, by_lag = whole(), recorded(site(scaling="keda"))
    for name in CONSUMED:
        hpa = named(by_cpu, "HorizontalPodAutoscaler")[name].inputs["spec"]
        keda = named(by_lag, "ScaledObject")[name].inputs["spec"]
        assert (hpa["minReplicas"], hpa["maxReplicas"]) == (1, 3)
        assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (1, 3)
        told = [trigger["metadata"] for trigger in keda["triggers"]]
        assert [one["topic"] for one in told] == list(CONSUMED[name])
        assert {(one["consumerGroup"], one["lagThreshold"]) for one in told} == {(name, "50")}
        for recording in (by_cpu, by_lag):
            assert "replicas" not in named(recording, "Deployment")[name].inputs["spec"]


def test_without_a_scaler_the_settings_say_how_many_consumers_there_are() -> None:
    fixed = recorded(site(scaling="none", consumers={"description": {"replicas": 2}}))
    assert named(fixed, "Deployment")["description"].inputs["spec"]["replicas"] == 2
    assert not fixed.of_type("HorizontalPodAutoscaler")


def test_no_more_consumers_than_partitions() -> None:
    few = recorded(site(kafka={"partitions": 2}))
    found = named(few, "HorizontalPodAutoscaler")["incidents"].inputs["spec"]
    assert found["maxReplicas"] == 2


def test_ngroks_operator_is_told_or_a_stand_in_says_that_it_is_one() -> None:
    ngrok = recorded(site(tunnel={"by": "ngrok", "url": "https://fixai.ngrok.app"}))
    (endpoint,) = ngrok.of_type("AgentEndpoint").values()
    assert endpoint.inputs["apiVersion"] == "ngrok.k8s.ngrok.com/v1alpha1"
    assert endpoint.inputs["spec"]["url"] == "https://fixai.ngrok.app"
    upstream = endpoint.inputs["spec"]["upstream"]["url"]
    assert upstream == "https://traefik.traefik.svc.cluster.local:443"
    assert "tunnel" not in templates(ngrok)
    stand_in = templates(whole())["tunnel"]["metadata"]["labels"]
    assert stand_in["hearth.dev/simulated"] == "true"
    text = named(whole(), "ConfigMap")["tunnel"].inputs["data"]["routes.yaml"]
    assert upstream in text
    assert "insecureSkipVerify" not in text
    assert "tunnel" not in templates(recorded(site(tunnel={"by": "none"})))


def test_the_language_models_stand_in_is_there_only_where_it_is_simulated() -> None:
    assert templates(whole())["gemini"]["metadata"]["labels"]["hearth.dev/simulated"] == "true"
    real = recorded(site(llm={"simulated": False}))
    assert "gemini" not in templates(real)
    told = json.loads(named(real, "ConfigMap")["description"].inputs["data"]["settings.json"])
    assert told["llm"]["base_url"] == "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("kafka-stateful-set", "zookeeper-stateful-set"),
        ("migration-job", "kafka-stateful-set"),
        ("migration-job", "cassandra-stateful-set"),
        ("migration-job", "minio-buckets-job"),
        ("minio-buckets-job", "minio-stateful-set"),
        ("backend-deployment", "migration-job"),
        ("backend-deployment", "redis-deployment"),
        ("outbox-deployment", "migration-job"),
        ("description-deployment", "migration-job"),
        ("description-deployment", "gemini-deployment"),
        ("traefik-deployment", "backend-deployment"),
        ("tunnel-deployment", "traefik-deployment"),
    ],
)
def test_what_is_needed_comes_first(later: str, earlier: str) -> None:
    recording = whole()
    by_name = {r.name: r for r in recording.resources if r.type.startswith("kubernetes:")}
    reached, pending = set[str](), [by_name[later].urn]
    while pending:
        urn = pending.pop()
        if urn not in reached:
            reached.add(urn)
            pending += recording.at(urn).depends_on
    assert by_name[earlier].urn in reached


def test_nothing_is_started_before_it_is_said_who_may_connect_to_it() -> None:
    recording = whole()
    policies = {r.urn for r in recording.of_type("NetworkPolicy").values()}
    for resource in recording.resources:
        if (
            resource.type.startswith("hearth:fixai:")
            and resource.name
            not in {
                "platform",
                "network",
            }
            and not resource.type.endswith("Scaling")
        ):
            assert policies <= resource.depends_on, resource.name


def test_every_object_goes_through_the_sites_cluster() -> None:
    for resource in whole().resources:
        if resource.type.startswith("kubernetes:"):
            assert resource.provider_name == "cluster", resource.name


def test_a_site_without_fixai_is_refused() -> None:
    of = site().model_copy(update={"fixai": None})
    secrets = fixai.Secrets({}, Certificate("a", "b", "c"))
    with pytest.raises(ValueError, match="add `fixai:`"):
        record(lambda: fixai.declare(of, secrets, KUBECONFIG))


SIZES = st.integers(64, 4096).map(lambda count: count * MIB)
CHANGES = st.fixed_dictionaries(
    {
        "kafka": st.fixed_dictionaries(
            {
                "profile": st.sampled_from(["zookeeper", "kraft"]),
                "partitions": st.integers(1, 48),
                "memory": SIZES,
            }
        ),
        "cassandra": st.fixed_dictionaries(
            {"memory": SIZES, "storage": st.integers(1, 900).map(lambda n: n * GIB)}
        ),
        "backend": st.fixed_dictionaries({"replicas": st.integers(1, 9), "memory": SIZES}),
        "consumers": st.fixed_dictionaries(
            {
                name: st.fixed_dictionaries(
                    {"replicas": st.integers(1, 4), "most": st.integers(1, 20), "memory": SIZES}
                )
                for name in CONSUMED
            }
        ),
        "scaling": st.sampled_from(["keda", "hpa", "none"]),
        "store_metrics": st.booleans(),
        "llm": st.fixed_dictionaries({"simulated": st.booleans()}),
        "tunnel": st.sampled_from(
            [{"by": "none"}, {"by": "simulated"}, {"by": "ngrok", "url": "https://a.ngrok.app"}]
        ),
        "nodes": st.sampled_from(
            [
                {"front": ("master01",), "work": ("worker01",)},
                {"front": ("master01", "worker01"), "work": ("worker01", "master01")},
            ]
        ),
    }
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHANGES)
def test_whatever_the_settings_the_promises_are_kept(changes: dict[str, Any]) -> None:
    of = site(**changes)
    assert of.fixai is not None
    recording = recorded(of)
    graph = Graph([resource_of(resource) for resource in recording.resources])
    assert [str(one) for one in judge(graph, IN_CLUSTERS)] == []
    hidden = [TLS_KEY, *(f"{PREFIX}{name}" for name in ACCOUNTS)]
    texts = "\n".join(t for r in recording.resources for t in public_texts(r.inputs))
    assert [secret for secret in hidden if secret in texts] == []
    demands = {demand.name: demand for demand in of.fixai.demands()}
    lasting = set(named(recording, "Deployment")) | set(named(recording, "StatefulSet"))
    assert demands.keys() == lasting
    for name, template in templates(recording).items():
        if name in demands:
            assert tuple(nodes_of(template)) == demands[name].hosts, name
            (container,) = template["spec"]["containers"]
            wanted = f"{demands[name].pod.memory // MIB}Mi"
            assert container["resources"]["limits"]["memory"] == wanted, name


def broker(settings: KafkaSettings) -> None:
    where = Where("elsewhere", ["node"])
    image, storage = Image("docker.io/apache/kafka:3.9.1"), Storage(GIB, "fast")
    Kafka("broker", KafkaArgs(where, image, settings, storage))


def test_a_component_is_used_alone() -> None:
    recording = record(lambda: broker(KafkaSettings(profile="kraft")))
    (made,) = recording.of_type("StatefulSet").values()
    assert made.name == "broker-stateful-set"
    assert made.inputs["metadata"]["namespace"] == "elsewhere"


def test_a_broker_that_lacks_its_coordinator_is_refused() -> None:
    with pytest.raises(ValueError, match="give its address"):
        record(lambda: broker(KafkaSettings(profile="zookeeper")))


def test_the_settings_file_says_what_the_site_does() -> None:
    of = site(llm={"tokens_per_minute": 5}, limits={"reports_per_hour": 7}).fixai
    assert of is not None
    told = json.loads(settings_text(of))
    assert told["llm"]["tokens_per_minute"] == 5
    assert told["backend"]["limits"]["reports_per_hour"] == 7
    assert told["kafka"] == {"partitions": 6, "retention_hours": 168}
