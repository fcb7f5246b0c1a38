"""The plugin in the real engine, beside a real API server with its controllers and scheduler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation
from pulumi.automation import errors

from tests.tools.kubernetes import cluster as control_plane
from tests.tools.kubernetes.cluster import Cluster
from tools import toolchain
from tools.kubernetes_plugin.plugin import NOTICE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

IMAGE = "registry.example/web:1"
WORD = "correct-horse-battery"
LABELS = {"app": "web"}
Program = Callable[[pulumi.ResourceOptions], None]


def _silent(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane; its programs are built where they are missing."""
    toolchain.ensure(_silent, docker=False, kubernetes=True)
    programs = toolchain.ensure_programs(control_plane.PROGRAMS, _silent)
    with control_plane.running(programs, tmp_path_factory.mktemp("cluster")) as found:
        yield found


class Stack:
    """A stack of the test's own: its programs, run by the engine."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._stack = automation.create_stack(
            "test",
            project_name="test",
            program=lambda: None,
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(folder),
                # Whatever is on PATH, or is not.
                pulumi_command=automation.PulumiCommand(str(toolchain.bin_dir().parent)),
                env_vars=toolchain.environment()
                | {"PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_BACKEND_URL": folder.as_uri()},
                project_settings=automation.ProjectSettings("test", "python"),
            ),
        )
        self.said = ""

    def up(self, program: Program, **options: Any) -> dict[str, int]:
        """Runs a program; returns how many resources met which end."""
        self._stack.workspace.program = self._with_provider(program)
        self.said = ""
        result = self._stack.up(on_output=self._note, color="never", **options)
        return _counts(result.summary.resource_changes)

    def preview(self, program: Program) -> dict[str, int]:
        """Plans a program."""
        self._stack.workspace.program = self._with_provider(program)
        result = self._stack.preview(on_output=self._note, color="never")
        return _counts(result.change_summary)

    def refresh(self) -> dict[str, int]:
        """Reads what is there."""
        self.said = ""
        found = self._stack.refresh(on_output=self._note, color="never")
        return _counts(found.summary.resource_changes)

    def destroy(self) -> None:
        """Deletes everything."""
        self._stack.destroy(on_output=self._note, color="never")

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state's resources by name."""
        deployment = self._stack.export_stack().deployment or {}
        return {one["urn"].split("::")[-1]: one for one in deployment.get("resources", ())}

    def state_text(self) -> str:
        """The state as it is on disk."""
        return next(self._folder.glob(".pulumi/stacks/**/test.json")).read_text()

    def _note(self, line: str) -> None:
        self.said += f"{line}\n"

    def _with_provider(self, program: Program) -> Callable[[], None]:
        def run() -> None:
            provider = k8s.Provider(
                "cluster", kubeconfig=self._cluster.kubeconfig, enable_config_map_mutable=True
            )
            program(pulumi.ResourceOptions(provider=provider))

        return run


def _counts(found: Mapping[automation.OpType, int] | None) -> dict[str, int]:
    return {str(key): count for key, count in (found or {}).items()}


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    """An empty stack, destroyed afterwards."""
    made = Stack(cluster, tmp_path)
    yield made
    made.destroy()


def namespace(options: pulumi.ResourceOptions, name: str) -> k8s.core.v1.Namespace:
    """A namespace of the test's own."""
    return k8s.core.v1.Namespace(name, metadata={"name": name}, opts=options)


def deployment(  # noqa: PLR0913 - what the tests vary
    options: pulumi.ResourceOptions,
    where: pulumi.Input[str],
    *,
    replicas: int = 2,
    image: str = IMAGE,
    labels: dict[str, str] = LABELS,
    annotations: dict[str, str] | None = None,
) -> k8s.apps.v1.Deployment:
    """A Deployment with what the server likes to write otherwise: amounts, empty lists."""
    container = {
        "name": "web",
        "image": image,
        "ports": [{"container_port": 8000}],
        "env": [],
        "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": "1000m"}},
    }
    return k8s.apps.v1.Deployment(
        "web",
        metadata={"name": "web", "namespace": where, "annotations": annotations or {}},
        spec={
            "replicas": replicas,
            "selector": {"match_labels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        opts=options,
    )


def test_a_lab_comes_up_stays_and_goes(cluster: Cluster, stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        space = namespace(options, "whole")
        where = space.metadata["name"]
        data = {"namespace": where}
        k8s.core.v1.Secret(
            "login",
            metadata={**data, "name": "login"},
            string_data={"password": pulumi.Output.secret(WORD), "plain": f"{WORD}-too"},
            opts=options,
        )
        k8s.core.v1.ConfigMap("settings", metadata=data, data={"a": "b"}, opts=options)
        k8s.core.v1.Service(
            "web",
            metadata={**data, "name": "web"},
            spec={"selector": LABELS, "ports": [{"port": 80, "target_port": 8000}]},
            opts=options,
        )
        deployment(options, where)
        k8s.apps.v1.StatefulSet(
            "store",
            metadata={**data, "name": "store"},
            spec={
                "service_name": "store",
                "selector": {"match_labels": {"app": "store"}},
                "template": {
                    "metadata": {"labels": {"app": "store"}},
                    "spec": {"containers": [{"name": "store", "image": IMAGE}]},
                },
            },
            opts=options,
        )
        k8s.batch.v1.Job(
            "once",
            metadata={**data, "name": "once"},
            spec={
                "template": {
                    "spec": {
                        "restart_policy": "Never",
                        "containers": [{"name": "once", "image": IMAGE}],
                    }
                }
            },
            opts=options,
        )
        k8s.storage.v1.StorageClass(
            "later",
            metadata={"name": "later"},
            provisioner="kubernetes.io/no-provisioner",
            volume_binding_mode="WaitForFirstConsumer",
            opts=options,
        )
        k8s.core.v1.PersistentVolumeClaim(
            "disk",
            metadata={**data, "name": "disk"},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": "later",
                "resources": {"requests": {"storage": "1024Mi"}},
            },
            opts=options,
        )

    assert stack.preview(program)["create"] == 11
    assert stack.up(program)["create"] == 11
    assert stack.said.partition("Diagnostics:")[2].count(NOTICE) == 1
    live = cluster.object("/apis/apps/v1/namespaces/whole/deployments/web")
    assert live["status"]["availableReplicas"] == 2
    assert stack.resources()["web"]["id"] == "whole/web"
    assert WORD not in stack.state_text()
    assert "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5" not in stack.state_text()
    assert re.fullmatch(r"whole/settings-[0-9a-f]{8}", stack.resources()["settings"]["id"])
    assert stack.up(program) == {"same": 11}
    assert stack.refresh() == {"same": 11}, stack.said
    assert stack.up(program) == {"same": 11}
    stack.destroy()
    assert cluster.api.find("/api/v1/namespaces/whole") is None


def test_drift_is_found_by_a_refresh_and_taken_back(cluster: Cluster, stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        deployment(options, namespace(options, "drift").metadata["name"])

    path = "/apis/apps/v1/namespaces/drift/deployments/web"
    stack.up(program)
    cluster.edit(path, {"spec": {"replicas": 1}, "metadata": {"labels": {"theirs": "stays"}}})
    assert stack.refresh()["update"] == 1
    assert stack.up(program)["update"] == 1
    assert cluster.object(path)["spec"]["replicas"] == 2
    assert cluster.object(path)["metadata"]["labels"] == {"theirs": "stays"}
    assert stack.up(program, refresh=True) == {"same": 4}


def test_a_controllers_field_is_left_to_it_or_explained(cluster: Cluster, stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions, replicas: int = 2, force: str = "") -> None:
        where = namespace(options, "held").metadata["name"]
        notes = {"pulumi.com/patchForce": force} if force else None
        deployment(options, where, replicas=replicas, annotations=notes)

    stack.up(program)
    path = "/apis/apps/v1/namespaces/held/deployments/web"
    cluster.edit(path, {"spec": {"replicas": 1}}, manager="autoscaler")
    with pytest.raises(errors.CommandError, match=r"spec\.replicas is autoscaler's"):
        stack.up(lambda options: program(options, 3))
    stack.up(lambda options: program(options, 3, "true"))
    assert cluster.object(path)["spec"]["replicas"] == 3


def test_a_change_is_made_in_place_and_what_cannot_be_is_made_anew(
    cluster: Cluster, stack: Stack
) -> None:
    path = "/apis/apps/v1/namespaces/change/deployments/web"

    def with_(**options_: Any) -> Program:
        return lambda options: (
            deployment(options, namespace(options, "change").metadata["name"], **options_) and None
        )

    stack.up(with_())
    first = cluster.object(path)
    assert stack.up(with_(image="registry.example/web:2"))["update"] == 1
    second = cluster.object(path)
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":2")
    other = {"app": "other"}
    assert stack.up(with_(labels=other))["replace"] == 1
    third = cluster.object(path)
    assert third["metadata"]["uid"] != first["metadata"]["uid"]
    assert third["spec"]["selector"]["matchLabels"] == other


def test_a_pod_that_cannot_start_is_explained_and_mended_by_the_next_update(
    cluster: Cluster, stack: Stack
) -> None:
    quick = {"pulumi.com/timeoutSeconds": "4"}

    def with_(image: str, **more: Any) -> Program:
        return lambda options: (
            deployment(
                options,
                namespace(options, "broken").metadata["name"],
                image=image,
                annotations=quick,
                **more,
            )
            and None
        )

    with pytest.raises(errors.CommandError) as failed:
        stack.up(with_("registry.example/web:missing"))
    assert "Deployment broken/web: not ready after 4 s: 0 of 2 Pods are available" in str(
        failed.value
    )
    assert 'container web: ImagePullBackOff: no image "registry.example/web:missing"' in str(
        failed.value
    )
    assert stack.resources()["web"]["initErrors"]
    stack.up(with_(IMAGE))
    assert "initErrors" not in stack.resources()["web"]
    live = cluster.object("/apis/apps/v1/namespaces/broken/deployments/web")
    assert live["status"]["availableReplicas"] == 2


def test_a_pod_that_nothing_has_room_for_is_explained_by_the_scheduler(stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        container = {
            "name": "big",
            "image": IMAGE,
            "resources": {"requests": {"memory": "900Gi"}},
        }
        k8s.core.v1.Pod(
            "big",
            metadata={"name": "big", "namespace": namespace(options, "room").metadata["name"]},
            spec={"containers": [container]},
            opts=pulumi.ResourceOptions.merge(
                options,
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3s")),
            ),
        )

    with pytest.raises(errors.CommandError, match=r"Unschedulable: 0/1 nodes are available"):
        stack.up(program)


def test_what_pod_security_forbids_is_explained(stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
        space = k8s.core.v1.Namespace(
            "strict", metadata={"name": "strict", "labels": enforced}, opts=options
        )
        quick = {"pulumi.com/timeoutSeconds": "3"}
        deployment(options, space.metadata["name"], annotations=quick)

    with pytest.raises(errors.CommandError, match="violates PodSecurity"):
        stack.up(program)


def test_custom_resources_follow_their_definition_and_its_rules(
    cluster: Cluster, stack: Stack
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "maximum": 5},
                    "extra": {"type": "object", "x_kubernetes_preserve_unknown_fields": True},
                },
            }
        },
    }

    def with_(spec: dict[str, Any]) -> Program:
        def program(options: pulumi.ResourceOptions) -> None:
            definition = k8s.apiextensions.v1.CustomResourceDefinition(
                "widgets",
                metadata={"name": "widgets.example.com"},
                spec={
                    "group": "example.com",
                    "scope": "Cluster",
                    "names": {"kind": "Widget", "plural": "widgets"},
                    "versions": [
                        {
                            "name": "v1",
                            "served": True,
                            "storage": True,
                            "schema": {"open_apiv3_schema": schema},
                        }
                    ],
                },
                opts=options,
            )
            k8s.apiextensions.CustomResource(
                "one",
                api_version="example.com/v1",
                kind="Widget",
                metadata={"name": "one"},
                spec=spec,
                opts=pulumi.ResourceOptions.merge(
                    options, pulumi.ResourceOptions(depends_on=[definition])
                ),
            )

        return program

    good = with_({"size": 3, "extra": {"any": 1}})
    assert stack.up(good)["create"] == 4
    assert stack.resources()["one"]["id"] == "one"
    assert cluster.object("/apis/example.com/v1/widgets/one")["spec"]["extra"] == {"any": 1}
    assert stack.up(good, refresh=True) == {"same": 4}
    with pytest.raises(errors.CommandError, match=r"spec\.size.*less than or equal to 5"):
        stack.preview(with_({"size": 9}))
    with pytest.raises(errors.CommandError, match=r"sise.*(unknown|not declared)"):
        stack.up(with_({"sise": 3}))


def test_an_object_that_is_there_is_imported_and_then_managed(
    cluster: Cluster, stack: Stack
) -> None:
    cluster.api.request(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        {"metadata": {"name": "found"}, "data": {"a": "b"}},
        query={"fieldManager": "kubectl-create"},
    )

    def with_(data: dict[str, str], **more: Any) -> Program:
        def program(options: pulumi.ResourceOptions) -> None:
            k8s.core.v1.ConfigMap(
                "found",
                metadata={"name": "found", "namespace": "default"},
                data=data,
                opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(**more)),
            )

        return program

    with pytest.raises(errors.CommandError, match="in the cluster already; import it"):
        stack.up(with_({"a": "b"}))
    assert stack.up(with_({"a": "b"}, import_="default/found"))["import"] == 1
    assert stack.up(with_({"a": "c"}))["update"] == 1
    path = "/api/v1/namespaces/default/configmaps/found"
    assert cluster.object(path)["data"] == {"a": "c"}


def test_a_hundred_objects_without_a_change_cost_little(cluster: Cluster, stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        where = namespace(options, "many").metadata["name"]
        for number in range(100):
            k8s.core.v1.ConfigMap(
                f"one-{number}",
                metadata={"name": f"one-{number}", "namespace": where},
                data={"a": str(number)},
                opts=options,
            )

    stack.up(program)
    before = _requests(cluster)
    assert stack.up(program) == {"same": 103}
    assert _requests(cluster) == before, "an update without a change asked for objects"
    assert stack.refresh() == {"same": 103}
    assert sum(_requests(cluster).values()) - sum(before.values()) == 100


def _requests(cluster: Cluster) -> dict[str, int]:
    """How often ConfigMaps were asked for, by method; the control plane lists and watches them."""
    text = cluster.api.text("/metrics")
    found = re.findall(r"^apiserver_request_total\{(.*)\} (\d+)$", text, re.MULTILINE)
    counts: dict[str, int] = {}
    for labels, count in found:
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if pairs["resource"] == "configmaps" and pairs["verb"] in ("GET", "PATCH", "APPLY"):
            counts[pairs["verb"]] = counts.get(pairs["verb"], 0) + int(count)
    return counts
