"""The plugin beside a tiny API server: what is made, changed, seen, deleted, and what is said."""

from __future__ import annotations

import base64
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.tools.kubernetes.conftest import Engine, Told, plain, urn
from tests.tools.kubernetes.fake_api import FakeApi
from tools.kubernetes_plugin.objects import INPUTS, MANAGER, VERSION
from tools.kubernetes_plugin.plugin import (
    NOTICE,
    PartialError,
    Plugin,
    PluginError,
    Settings,
    settings,
)
from tools.kubernetes_plugin.values import UNKNOWN, Secret, reveal
from tools.kubernetes_plugin.waiting import NotReadyError

CONFIG = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NAMESPACE = "kubernetes:core/v1:Namespace"
POD = "kubernetes:core/v1:Pod"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 - a type, no secret
SERVICE = "kubernetes:core/v1:Service"
WIDGET = "kubernetes:example.com/v1:Widget"
NAMED = {"metadata": {"name": "main"}}


def ready(live: dict[str, Any]) -> None:
    """A controller that is always done."""
    count = live.get("spec", {}).get("replicas", 1)
    live["status"] = {
        "observedGeneration": live["metadata"]["generation"],
        **dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count),
    }


def test_it_says_once_what_it_is(api: FakeApi) -> None:
    told = Told()
    plugin = Plugin(told)
    for _ in range(2):
        plugin.configure(Settings(kubeconfig=api.kubeconfig))
    assert told == [NOTICE]


# Names and places.


def test_what_has_no_name_gets_one_of_the_resources_and_keeps_it(engine: Engine) -> None:
    state = engine.create(CONFIG, {"data": {"a": "b"}})
    name = state["metadata"]["name"]
    assert re.fullmatch(r"main-[0-9a-f]{8}", name)
    assert state["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert engine.check(CONFIG, {"data": {"a": "c"}})["metadata"]["name"] == name


def test_objects_go_to_the_providers_namespace_and_those_of_the_cluster_to_none(
    api: FakeApi,
) -> None:
    engine = Engine(api, namespace="fixai")
    assert engine.check(CONFIG, NAMED)["metadata"]["namespace"] == "fixai"
    assert "namespace" not in engine.check(NAMESPACE, NAMED)["metadata"]
    assert Engine(api).check(CONFIG, NAMED)["metadata"]["namespace"] == "default"


def test_the_scope_of_a_kind_that_the_program_defines_is_known_before_it_is_there(
    api: FakeApi, engine: Engine
) -> None:
    api.unknown.add("Widget")
    definition = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1"}],
        },
    }
    engine.check("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", definition)
    assert "namespace" not in engine.check(WIDGET, NAMED)["metadata"]


def test_what_it_is_stands_in_the_token_where_an_import_leaves_it_out(engine: Engine) -> None:
    inputs = engine.check(DEPLOYMENT, NAMED)
    assert (inputs["apiVersion"], inputs["kind"]) == ("apps/v1", "Deployment")
    assert engine.check(CONFIG, NAMED)["apiVersion"] == "v1"


@pytest.mark.parametrize(
    ("token", "given", "why"),
    [
        ("kubernetes:apps/v1:DeploymentPatch", {"kind": "Deployment"}, "pulumi import"),
        ("kubernetes:core/v1:PodList", {"kind": "PodList"}, "each of its items"),
        ("kubernetes:helm.sh/v3:Release", {}, "Helm charts"),
        ("kubernetes:yaml/v2:ConfigFile", {}, "YAML manifests"),
        (CONFIG, {"metadata": {"generateName": "a-"}}, "generateName"),
    ],
)
def test_what_it_does_not_do_is_refused_with_the_way_out(
    engine: Engine, token: str, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(PluginError, match=re.escape(why)):
        engine.check(token, given)


@pytest.mark.parametrize("option", ["renderYamlToDirectory", "enableServerSideApply"])
def test_settings_that_it_does_not_honour_are_refused(option: str) -> None:
    with pytest.raises(PluginError, match=option):
        settings({option: "false" if option.startswith("enable") else "folder"}, {})


# State.


def test_the_state_is_the_object_and_what_was_asked_for(engine: Engine) -> None:
    state = engine.create(CONFIG, {**NAMED, "data": {"a": "b"}})
    assert engine.id == "default/main"
    assert state["data"] == {"a": "b"}
    assert state["metadata"]["uid"]
    assert state[VERSION] == "v1"
    assert re.fullmatch(r"pulumi-kubernetes-[0-9a-f]{8}", state[MANAGER])
    assert state[INPUTS] == engine.inputs


def test_an_object_of_the_cluster_is_known_by_its_name_alone(api: FakeApi, engine: Engine) -> None:
    engine.create(NAMESPACE, NAMED)
    assert engine.id == "main"
    assert "/api/v1/namespaces/main" in api.objects


def test_a_secret_is_secret_in_the_state_however_it_is_given(api: FakeApi, engine: Engine) -> None:
    word = "hunter2hunter2"
    coded = base64.b64encode(word.encode()).decode()
    state = engine.create(SECRET, {**NAMED, "stringData": {"password": word}})
    for kept in (state, engine.inputs):
        assert word not in plain(kept)
        assert coded not in plain(kept)
    assert api.get("/secrets/main")["data"] == {"password": coded}
    engine.refresh(SECRET)
    assert coded not in plain(engine.state)
    assert reveal(engine.inputs)["stringData"] == {"password": word}


def test_what_the_program_gives_as_a_secret_stays_one_anywhere(engine: Engine) -> None:
    state = engine.create(CONFIG, {**NAMED, "data": {"a": Secret("word"), "b": "plain"}})
    assert isinstance(state["data"]["a"], Secret)
    assert isinstance(state[INPUTS]["data"]["a"], Secret)
    assert state["data"]["b"] == "plain"


# Plans.


def test_a_plan_asks_the_server_and_makes_nothing(api: FakeApi, engine: Engine) -> None:
    api.on_apply = lambda live: live["spec"].setdefault("clusterIP", "10.96.0.9")
    state = engine.preview(SERVICE, {**NAMED, "spec": {"ports": [{"port": 80}]}})
    assert api.objects == {}
    assert any(line.startswith("PATCH") for line in api.requests)
    assert state["spec"]["clusterIP"] is UNKNOWN
    assert state["metadata"]["uid"] is UNKNOWN
    assert state["spec"]["ports"] == [{"port": 80}]


def test_a_plan_with_unknown_values_asks_nobody(api: FakeApi, engine: Engine) -> None:
    given = {**NAMED, "data": {"a": UNKNOWN}}
    assert engine.preview(CONFIG, given)["data"] == {"a": UNKNOWN}
    assert api.requests == []


def test_a_plan_does_without_a_cluster_and_an_update_does_not() -> None:
    told = Told()
    plugin = Plugin(told)
    plugin.configure(Settings(kubeconfig="/nowhere/kubeconfig"))
    inputs = plugin.check(urn(CONFIG), {}, NAMED, b"")
    assert plugin.create(urn(CONFIG), inputs, 1, preview=True) == ("", inputs)
    with pytest.raises(PluginError, match="/nowhere/kubeconfig: the kubeconfig cannot be read"):
        plugin.create(urn(CONFIG), inputs, 1, preview=False)


def test_a_plan_shows_what_the_server_would_refuse(api: FakeApi, engine: Engine) -> None:
    engine.create(CONFIG, {**NAMED, "data": {"a": "b"}})
    api.edit("/configmaps/main", "operator", lambda live: live["data"].update(a="x"))
    new = engine.check(CONFIG, {**NAMED, "data": {"a": "c"}})
    with pytest.raises(PluginError, match=r"data\.a is operator's"):
        engine.plugin.update(urn(CONFIG), engine.state, new, 1, preview=True)


# Making.


def test_what_is_there_already_is_not_taken_over_silently(api: FakeApi, engine: Engine) -> None:
    there = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "theirs"}}
    api.put({**there, "metadata": {"name": "main", "namespace": "default"}})
    with pytest.raises(PluginError, match="pulumi import"):
        engine.create(CONFIG, {**NAMED, "data": {"a": "ours"}})
    assert api.get("/configmaps/main")["data"] == {"a": "theirs"}
    adopting = Engine(api, upsertExistingObjects="true")
    assert adopting.create(CONFIG, {**NAMED, "data": {"a": "ours"}})["data"] == {"a": "ours"}


def test_an_object_waits_for_its_kind_to_be_there(
    api: FakeApi, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.kubernetes_plugin.plugin._PAUSES", (0.01, 0.3))
    api.unknown.add("Widget")
    with ThreadPoolExecutor() as pool:
        making = pool.submit(engine.create, WIDGET, NAMED)
        time.sleep(0.1)
        api.unknown.clear()
        assert making.result()["kind"] == "Widget"


def test_a_kind_that_never_comes_is_named(
    api: FakeApi, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.kubernetes_plugin.plugin._PAUSES", (0.01,))
    api.unknown.add("Widget")
    with pytest.raises(PluginError, match="make its CustomResourceDefinition first"):
        engine.create(WIDGET, NAMED)


# Changes.


def test_the_same_inputs_are_no_change_and_cost_no_request(api: FakeApi, engine: Engine) -> None:
    given = {**NAMED, "data": {"a": "b"}}
    engine.create(CONFIG, given)
    before = len(api.requests)
    assert engine.diff(CONFIG, given).changes == []
    assert len(api.requests) == before


def test_a_change_is_applied_and_what_left_the_program_leaves_the_object(
    api: FakeApi,
) -> None:
    engine = Engine(api, enableConfigMapMutable="true")
    engine.create(CONFIG, {**NAMED, "data": {"a": "b", "c": "d"}})
    diff = engine.diff(CONFIG, {**NAMED, "data": {"a": "x"}})
    assert {change.text: change.how.name for change in diff.changes} == {
        "data.a": "UPDATE",
        "data.c": "DELETE",
    }
    engine.update(CONFIG, {**NAMED, "data": {"a": "x"}})
    assert api.get("/configmaps/main")["data"] == {"a": "x"}


def test_a_config_map_is_made_anew_unless_it_may_change(api: FakeApi, engine: Engine) -> None:
    engine.create(CONFIG, {"data": {"a": "b"}})
    diff = engine.diff(CONFIG, {"data": {"a": "c"}})
    assert [change.text for change in diff.changes if change.replaces] == ["data.a"]
    assert not diff.deletes_first, "its name is made up, so both can be there"
    mutable = Engine(api, enableConfigMapMutable="true")
    mutable.create(CONFIG, {**NAMED, "data": {"a": "b"}})
    assert not mutable.diff(CONFIG, {**NAMED, "data": {"a": "c"}}).changes[0].replaces


def test_the_old_object_goes_first_where_both_have_one_name(engine: Engine) -> None:
    engine.create(CONFIG, {**NAMED, "data": {"a": "b"}})
    assert engine.diff(CONFIG, {**NAMED, "data": {"a": "c"}}).deletes_first
    renamed = {"metadata": {"name": "other"}, "data": {"a": "b"}}
    diff = engine.diff(CONFIG, renamed)
    assert [change.text for change in diff.changes if change.replaces] == ["metadata.name"]
    assert not diff.deletes_first


def test_a_secrets_texts_are_told_as_texts(engine: Engine) -> None:
    engine.create(SECRET, {**NAMED, "stringData": {"a": "b"}, "data": {"c": "ZA=="}})
    diff = engine.diff(SECRET, {**NAMED, "stringData": {"a": "x"}, "data": {"c": "ZA=="}})
    assert [change.text for change in diff.changes] == ["stringData.a"]


def test_what_somebody_changed_by_hand_is_seen_and_taken_back(api: FakeApi, engine: Engine) -> None:
    api.on_apply = ready
    given = {**NAMED, "spec": {"replicas": 2, "paused": False}}
    engine.create(DEPLOYMENT, given)
    assert engine.refresh(DEPLOYMENT) == engine.check(DEPLOYMENT, given)

    def scale(live: dict[str, Any]) -> None:
        live["spec"]["replicas"] = 5
        live["spec"]["added"] = "by another"

    api.edit("/deployments/main", "kubectl-edit", scale)
    ready(api.get("/deployments/main"))
    assert (engine.refresh(DEPLOYMENT) or {})["spec"] == {"replicas": 5, "paused": False}
    diff = engine.diff(DEPLOYMENT, given)
    assert [change.text for change in diff.changes] == ["spec.replicas"]
    engine.update(DEPLOYMENT, given)
    assert api.get("/deployments/main")["spec"]["replicas"] == 2


def test_a_field_that_a_controller_holds_is_not_taken_without_being_asked_for(
    api: FakeApi, engine: Engine
) -> None:
    api.on_apply = ready
    engine.create(DEPLOYMENT, {**NAMED, "spec": {"replicas": 2}})
    api.edit("/deployments/main", "autoscaler", lambda live: live["spec"].update(replicas=5))
    wanted = {**NAMED, "spec": {"replicas": 3}}
    with pytest.raises(PluginError) as refused:
        engine.update(DEPLOYMENT, wanted)
    assert "spec.replicas is autoscaler's" in str(refused.value)
    assert "pulumi.com/patchForce" in str(refused.value)
    forced = {"name": "main", "annotations": {"pulumi.com/patchForce": "true"}}
    engine.update(DEPLOYMENT, {**wanted, "metadata": forced})
    assert api.get("/deployments/main")["spec"]["replicas"] == 3


def test_what_the_program_ignores_stays_with_the_controller_that_holds_it(
    api: FakeApi, engine: Engine
) -> None:
    api.on_apply = ready
    engine.create(DEPLOYMENT, {**NAMED, "spec": {"replicas": 2, "paused": False}})
    api.edit("/deployments/main", "autoscaler", lambda live: live["spec"].update(replicas=5))
    new = engine.check(DEPLOYMENT, {**NAMED, "spec": {"replicas": 2, "minReadySeconds": 1}})
    engine.plugin.update(
        urn(DEPLOYMENT), engine.state, new, 1, preview=False, ignored=["spec.replicas"]
    )
    spec = api.get("/deployments/main")["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (5, 1)


def test_an_object_that_is_gone_is_gone_from_the_state(api: FakeApi, engine: Engine) -> None:
    engine.create(CONFIG, NAMED)
    api.objects.clear()
    assert engine.refresh(CONFIG) is None


def test_an_import_takes_an_object_by_its_id(api: FakeApi, engine: Engine) -> None:
    api.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "main", "namespace": "other", "resourceVersion": "7"},
            "data": {"a": "b"},
        }
    )
    engine.id = "other/main"
    inputs = engine.refresh(CONFIG)
    assert inputs == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "main", "namespace": "other"},
        "data": {"a": "b"},
    }
    given = {"metadata": {"name": "main", "namespace": "other"}, "data": {"a": "b"}}
    assert engine.diff(CONFIG, given).changes == []


# Readiness and its lack.


def test_it_waits_until_the_object_does_its_work(api: FakeApi, engine: Engine) -> None:
    with ThreadPoolExecutor() as pool:
        making = pool.submit(engine.create, DEPLOYMENT, {**NAMED, "spec": {"replicas": 1}}, 10)
        while not api.objects:
            time.sleep(0.01)
        time.sleep(0.2)
        assert not making.done()
        ready(api.get("/deployments/main"))
        assert making.result()["status"]["availableReplicas"] == 1
    assert "Deployment default/main: the controller has not seen it yet" in engine.told


def test_an_object_that_does_not_wait_is_not_waited_for(api: FakeApi, engine: Engine) -> None:
    metadata = {"name": "main", "annotations": {"pulumi.com/skipAwait": "true"}}
    assert engine.create(DEPLOYMENT, {"metadata": metadata, "spec": {}})
    assert api.objects


def broken_deployment(api: FakeApi, status: dict[str, Any]) -> None:
    """Has every Deployment make a ReplicaSet and a Pod of this status."""

    def make(live: dict[str, Any]) -> None:
        if live["kind"] != "Deployment":
            return
        live["status"] = {"observedGeneration": live["metadata"]["generation"]}
        uid, labels = live["metadata"]["uid"], live["spec"]["selector"]["matchLabels"]
        own = {"namespace": "default", "labels": labels}
        one = api.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {**own, "name": "main-1", "ownerReferences": [{"uid": uid}]},
                "spec": {"selector": {"matchLabels": labels}},
            }
        )
        owner = [{"uid": one["metadata"]["uid"]}]
        api.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**own, "name": "main-1-a", "ownerReferences": owner},
                "status": status,
            }
        )

    api.on_apply = make


LABELLED = {**NAMED, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "main"}}}}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            {
                "containerStatuses": [
                    {
                        "name": "web",
                        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}},
                    }
                ]
            },
            "Pod default/main-1-a: container web: ImagePullBackOff: no image",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/2 nodes are available",
                    }
                ]
            },
            "Pod default/main-1-a: Unschedulable: 0/2 nodes are available",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "web",
                        "restartCount": 4,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
                    }
                ]
            },
            "Pod default/main-1-a: container web said: no such file",
        ),
    ],
)
def test_what_does_not_become_ready_is_kept_and_says_why(
    api: FakeApi, engine: Engine, status: dict[str, Any], reason: str
) -> None:
    api.logs["main-1-a"] = "starting\nno such file\n"
    broken_deployment(api, status)
    with pytest.raises(PartialError, match="0 of 1 Pods are made") as stuck:
        engine.create(DEPLOYMENT, LABELLED, 0.2)
    assert reason in stuck.value.reasons
    assert stuck.value.id == "default/main"
    assert stuck.value.state[INPUTS]["spec"] == LABELLED["spec"]


def test_a_probe_that_fails_is_told_by_its_events(api: FakeApi, engine: Engine) -> None:
    broken_deployment(api, {"containerStatuses": [{"name": "web", "state": {"running": {}}}]})
    with pytest.raises(PartialError):
        engine.create(DEPLOYMENT, LABELLED, 0.1)
    uid = api.get("/pods/main-1-a")["metadata"]["uid"]
    api.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"uid": uid},
            "type": "Warning",
            "reason": "Unhealthy",
            "message": "Readiness probe failed: 503",
        }
    )
    api.on_apply = lambda _live: None
    with pytest.raises(PartialError) as stuck:
        engine.plugin.update(urn(DEPLOYMENT), {}, engine.inputs, 0.1, preview=False)
    assert "Pod default/main-1-a: Unhealthy: Readiness probe failed: 503" in stuck.value.reasons


def test_waiting_ends_at_once_where_it_is_of_no_use(
    api: FakeApi, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.kubernetes_plugin.waiting._SECONDS_BETWEEN_PODS", 0.1)
    waits = {"waiting": {"reason": "InvalidImageName", "message": "Image: no"}}
    broken_deployment(api, {"containerStatuses": [{"name": "web", "state": waits}]})
    with pytest.raises(PartialError, match="InvalidImageName"):
        engine.create(DEPLOYMENT, LABELLED, 60)


def test_a_refresh_says_that_an_object_has_stopped_working(api: FakeApi, engine: Engine) -> None:
    api.on_apply = ready
    engine.create(DEPLOYMENT, {**NAMED, "spec": {"replicas": 2}})
    api.get("/deployments/main")["status"]["availableReplicas"] = 1
    with pytest.raises(PartialError, match="1 of 2 Pods are available") as broken:
        engine.refresh(DEPLOYMENT)
    assert broken.value.inputs == engine.inputs


def test_the_engine_can_stop_the_waiting(api: FakeApi, engine: Engine) -> None:
    del api
    engine.plugin.stop.set()
    with pytest.raises(PartialError, match="stopped: "):
        engine.create(DEPLOYMENT, {**NAMED, "spec": {"replicas": 2}}, 60)


# The end.


def test_a_delete_waits_for_the_end_and_says_what_keeps_it(api: FakeApi, engine: Engine) -> None:
    engine.create(CONFIG, NAMED)
    api.get("/configmaps/main")["metadata"]["finalizers"] = ["example.com/keep"]
    with pytest.raises(NotReadyError, match=r"example\.com/keep"):
        engine.delete(CONFIG, 0.2)
    api.get("/configmaps/main")["metadata"]["finalizers"] = []
    engine.delete(CONFIG)
    assert api.objects == {}
    engine.delete(CONFIG)


def test_what_has_no_kind_any_more_is_deleted(api: FakeApi, engine: Engine) -> None:
    engine.create(WIDGET, NAMED)
    api.unknown.add("Widget")
    other = Engine(api)
    other.state, other.id = engine.state, engine.id
    other.delete(WIDGET)
    assert other.refresh(WIDGET) is None
