"""The plugin's rules by themselves: values, ownership, drift, changes, readiness, kubeconfigs."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tools.kubernetes_plugin import kubeconfig
from tools.kubernetes_plugin.diffs import Mutable, changes
from tools.kubernetes_plugin.fields import ALL, NOTHING, drifted, owned_by, same
from tools.kubernetes_plugin.kinds import Kind
from tools.kubernetes_plugin.kubeconfig import KubeconfigError
from tools.kubernetes_plugin.readiness import Verdict, WaitForError, judge
from tools.kubernetes_plugin.values import UNKNOWN, Secret, as_secret_as, from_struct, to_struct

DEPLOYMENT = Kind("apps/v1", "Deployment")


# Values.


def test_values_come_back_from_the_engines_form_as_they_were() -> None:
    values = {
        "text": "a",
        "whole": 3,
        "part": 0.5,
        "no": False,
        "list": [1, {"a": "b"}, UNKNOWN],
        "secret": Secret({"inner": Secret("word")}),
    }
    found = from_struct(to_struct(values))
    assert found == values
    assert isinstance(found["whole"], int)


def test_nothing_is_what_null_is() -> None:
    assert from_struct(to_struct({"a": None, "b": "c"})) == {"b": "c"}


def test_a_secrets_text_is_never_shown() -> None:
    assert "word" not in repr(Secret("word"))


def test_a_list_with_a_secret_in_it_is_secret_as_a_whole() -> None:
    found = as_secret_as(
        {"env": [{"value": "a"}, {"value": "b"}]}, {"env": [{"value": Secret("b")}]}
    )
    assert found == {"env": Secret([{"value": "a"}, {"value": "b"}])}


# Ownership and drift.

CONTAINERS: dict[str, Any] = {
    "f:spec": {
        "f:containers": {
            'k:{"name":"web"}': {
                ".": {},
                "f:image": {},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {"f:containerPort": {}}},
            }
        }
    }
}
WEB = {"name": "web", "image": "a", "ports": [{"containerPort": 80}]}
MADE = {**WEB, "imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}]}


def pod(*containers: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def test_what_the_server_adds_is_no_drift() -> None:
    wanted = pod(WEB)
    assert drifted(wanted, pod(MADE), pod(MADE), CONTAINERS) == wanted
    sidecar = {"name": "sidecar", "image": "b"}
    assert drifted(wanted, pod(MADE), pod(sidecar, MADE), CONTAINERS) == wanted


def test_a_field_of_ours_that_differs_is_drift() -> None:
    now = pod({**MADE, "image": "c"})
    assert drifted(pod(WEB), pod(MADE), now, CONTAINERS) == pod({**WEB, "image": "c"})
    assert drifted(pod(WEB), pod(MADE), pod(), CONTAINERS) == pod()


def test_an_atomic_list_is_compared_as_a_whole() -> None:
    owned: dict[str, Any] = {"f:args": {}}
    assert drifted({"args": ["a"]}, {"args": ["a"]}, {"args": ["a", "b"]}, owned) == {
        "args": ["a", "b"]
    }


def test_what_the_server_does_not_keep_is_no_drift() -> None:
    wanted = {"env": [], "data": {"a": "b"}}
    now = {"data": {"a": "c"}}
    assert drifted(wanted, {"data": {"a": "b"}}, now, ALL) == {"env": [], "data": {"a": "c"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.5", "500m"), ("1024Mi", "1Gi"), ("1000m", 1), ("1e3", "1k"), ("100Mi", "104857600")],
)
def test_amounts_in_other_words_are_the_same(one: Any, other: Any) -> None:
    assert same(one, other)


@pytest.mark.parametrize(("one", "other"), [("1", "2"), ("a", "b"), ("1Gi", "1G"), (True, 1.5)])
def test_other_amounts_are_not(one: Any, other: Any) -> None:
    assert not same(one, other)


def test_fields_are_a_managers_that_applied_them() -> None:
    entries = [
        {"manager": "ours", "fieldsV1": {"f:spec": {"f:a": {}}}},
        {"manager": "other", "fieldsV1": {"f:spec": {"f:b": {}}}},
        {"manager": "ours", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    owned = owned_by({"metadata": {"managedFields": entries}}, "ours")
    assert owned == {"f:spec": {"f:a": {}}}
    assert owned_by({"metadata": {"managedFields": entries}}, "nobody") == NOTHING
    assert owned_by({"metadata": {}}, "ours") == ALL


# Changes.


def found(kind: Kind, old: Any, new: Any, owned: Any = ALL, **mutable: bool) -> dict[str, str]:
    said = changes(kind, old, new, owned, Mutable(**mutable))
    return {one.text: one.how.name + ("!" if one.replaces else "") for one in said}


def test_a_change_is_told_by_its_path_as_pulumi_writes_it() -> None:
    old = {"metadata": {"labels": {"app.example/name": "a"}}, "x": [{"b": 1}, 2]}
    new = {"metadata": {"labels": {"app.example/name": "b"}}, "x": [{"b": 3}]}
    assert found(DEPLOYMENT, old, new) == {
        'metadata.labels["app.example/name"]': "UPDATE",
        "x[0].b": "UPDATE",
        "x[1]": "DELETE",
    }


def test_a_field_that_is_not_ours_does_not_leave_with_the_program() -> None:
    old = {"spec": {"ours": 1, "theirs": 2}}
    assert found(DEPLOYMENT, old, {"spec": {}}, {"f:spec": {"f:ours": {}}}) == {
        "spec.ours": "DELETE"
    }
    assert found(DEPLOYMENT, old, {"spec": {}}, NOTHING) == {}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (DEPLOYMENT, {"spec": {"selector": {"a": 1}}}, {"spec": {"selector": {"a": 2}}}),
        (
            Kind("apps/v1", "StatefulSet"),
            {"spec": {"volumeClaimTemplates": [{"spec": {"size": 1}}]}},
            {"spec": {"volumeClaimTemplates": [{"spec": {"size": 2}}]}},
        ),
        (Kind("v1", "Service"), {"spec": {"clusterIP": "None"}}, {"spec": {}}),
        (Kind("batch/v1", "Job"), {"spec": {"template": 1}}, {"spec": {"template": 2}}),
        (Kind("v1", "Pod"), {"spec": {"hostname": "a"}}, {"spec": {"hostname": "b"}}),
        (Kind("v1", "Secret"), {"type": "a"}, {"type": "b"}),
        (Kind("v1", "Secret"), {"data": {"a": "b"}}, {"data": {"a": UNKNOWN}}),
        (DEPLOYMENT, {"metadata": {"namespace": "a"}}, {"metadata": {"namespace": "b"}}),
        (
            Kind("example.com/v1", "Widget"),
            {"metadata": {"name": "a"}},
            {"metadata": {"name": "b"}},
        ),
    ],
)
def test_what_cannot_be_changed_is_made_anew(kind: Kind, old: Any, new: Any) -> None:
    assert all(how.endswith("!") for how in found(kind, old, new).values())
    assert found(kind, old, new)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (DEPLOYMENT, {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}),
        (Kind("v1", "Pod"), *({"spec": {"containers": [{"image": one}]}} for one in "ab")),
        (Kind("apps/v1", "StatefulSet"), {"spec": {"template": 1}}, {"spec": {"template": 2}}),
        (Kind("v1", "Service"), {"spec": {"ports": [1]}}, {"spec": {"ports": [2]}}),
        (Kind("example.com/v1", "Widget"), {"spec": {"selector": 1}}, {"spec": {"selector": 2}}),
    ],
)
def test_what_can_be_changed_is_changed_in_place(kind: Kind, old: Any, new: Any) -> None:
    assert set(found(kind, old, new).values()) == {"UPDATE"}


def test_what_is_declared_immutable_is_made_anew_even_if_others_may_change() -> None:
    kind, new = Kind("v1", "ConfigMap"), {"data": {"a": "c"}}
    assert found(kind, {"data": {"a": "b"}}, new, config_maps=True) == {"data.a": "UPDATE"}
    old = {"immutable": True, "data": {"a": "b"}}
    assert found(kind, old, {**new, "immutable": True}, config_maps=True) == {"data.a": "UPDATE!"}


# Readiness.


class Others:
    """What else is in the cluster."""

    def __init__(self, *objects: Mapping[str, Any], status: bool = True) -> None:
        self._objects = objects
        self._status = status

    def find(self, kind: Kind, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The one that there is."""
        del kind, namespace, name
        return next(iter(self._objects), None)

    def items(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]]:
        """All that there are."""
        del kind, namespace, labels
        return self._objects

    def has_status(self, kind: Kind) -> bool:
        """As the test says."""
        del kind
        return self._status


def judged(
    version: str,
    kind: str,
    *others: Mapping[str, Any],
    seconds: float = 0,
    notes: Mapping[str, str] | None = None,
    **live: Any,
) -> Verdict:
    data = {"name": "a", "namespace": "b", "generation": 2, "annotations": notes or {}}
    whole = {"apiVersion": version, "kind": kind, "metadata": data, **live}
    return judge(whole, whole, Others(*others), seconds)


SEEN = {"observedGeneration": 2}
ENDED = {"type": "Complete", "status": "True"}
TRUE, FALSE = ({"type": "Ready", "status": word, "reason": "Why"} for word in ("True", "False"))
SLICE = {"endpoints": [{"conditions": {"ready": False}}]}


@pytest.mark.parametrize(
    ("version", "kind", "live"),
    [
        ("apps/v1", "Deployment", {"spec": {"replicas": 0}, "status": SEEN}),
        ("apps/v1", "Deployment", {"spec": {"paused": True}, "status": SEEN}),
        ("apps/v1", "DaemonSet", {"status": SEEN}),
        ("batch/v1", "Job", {"status": {"conditions": [ENDED]}}),
        ("batch/v1", "Job", {"spec": {"suspend": True}}),
        ("v1", "Pod", {"status": {"phase": "Succeeded"}}),
        ("v1", "PersistentVolume", {"status": {"phase": "Available"}}),
        ("v1", "PersistentVolumeClaim", {"status": {"phase": "Bound"}}),
        ("v1", "Service", {"spec": {"type": "ExternalName", "selector": {"a": "b"}}}),
        ("v1", "Service", {"spec": {"clusterIP": "None", "selector": {"a": "b"}}}),
        ("v1", "Service", {"spec": {"clusterIP": "10.96.0.1"}}),
        ("v1", "ConfigMap", {}),
        ("policy/v1", "PodDisruptionBudget", {"spec": {}}),
        ("example.com/v1", "Widget", {"status": {"conditions": [TRUE]}}),
    ],
)
def test_what_does_its_work_is_ready(version: str, kind: str, live: dict[str, Any]) -> None:
    assert judged(version, kind, **live).is_ready


@pytest.mark.parametrize(
    ("version", "kind", "live", "why"),
    [
        ("apps/v1", "Deployment", {"status": {"observedGeneration": 1}}, "has not seen it"),
        (
            "apps/v1",
            "Deployment",
            {"spec": {"replicas": 2}, "status": {**SEEN, "updatedReplicas": 2, "replicas": 3}},
            "1 old Pods are to go",
        ),
        (
            "apps/v1",
            "StatefulSet",
            {
                "spec": {"replicas": 1},
                "status": {
                    **SEEN,
                    "updatedReplicas": 1,
                    "currentRevision": "a",
                    "updateRevision": "b",
                },
            },
            "being updated",
        ),
        ("apps/v1", "DaemonSet", {"status": {**SEEN, "desiredNumberScheduled": 2}}, "0 of 2"),
        ("batch/v1", "Job", {"spec": {"completions": 3}}, "0 of 3 Pods have done it"),
        ("v1", "PersistentVolumeClaim", {"status": {"phase": "Pending"}}, "no PersistentVolume"),
        ("v1", "Service", {"spec": {"type": "LoadBalancer"}}, "no load balancer"),
        ("v1", "Service", {"spec": {"selector": {"a": "b"}}}, "no Pod has the labels"),
        ("networking.k8s.io/v1", "Ingress", {}, "no address"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, "does not serve it"),
        ("example.com/v1", "Widget", {"status": {"conditions": [FALSE]}}, "Why"),
    ],
)
def test_what_does_not_do_its_work_says_what_it_waits_for(
    version: str, kind: str, live: dict[str, Any], why: str
) -> None:
    verdict = judged(version, kind, **live)
    assert not verdict.is_ready
    assert not verdict.has_failed
    assert why in verdict.message


@pytest.mark.parametrize(
    ("version", "kind", "live", "why"),
    [
        (
            "batch/v1",
            "Job",
            {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "Limit"}]}},
            "Limit",
        ),
        (
            "apps/v1",
            "Deployment",
            {
                "status": {
                    **SEEN,
                    "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
                }
            },
            "in time",
        ),
        ("v1", "Pod", {"status": {"phase": "Failed", "reason": "Evicted"}}, "Evicted"),
        ("v1", "PersistentVolumeClaim", {"status": {"phase": "Lost"}}, "gone"),
    ],
)
def test_what_never_will_is_not_waited_for(
    version: str, kind: str, live: dict[str, Any], why: str
) -> None:
    verdict = judged(version, kind, **live)
    assert verdict.has_failed
    assert why in verdict.message


def test_a_service_waits_for_pods_that_there_are_and_not_for_those_that_never_come() -> None:
    spec = {"selector": {"a": "b"}}
    assert not judged("v1", "Service", SLICE, spec=spec, seconds=60).is_ready
    assert judged("v1", "Service", {"endpoints": [{"conditions": {}}]}, spec=spec).is_ready
    assert judged("v1", "Service", spec=spec, seconds=60).is_ready


def test_a_claim_that_waits_for_its_first_pod_is_not_waited_for() -> None:
    later = {"volumeBindingMode": "WaitForFirstConsumer"}
    claim: dict[str, Any] = {"spec": {"storageClassName": "local"}, "status": {"phase": "Pending"}}
    assert judged("v1", "PersistentVolumeClaim", later, **claim).is_ready
    assert not judged("v1", "PersistentVolumeClaim", {}, **claim).is_ready


def test_a_custom_resource_has_a_moment_for_its_controllers_first_word() -> None:
    assert not judged("example.com/v1", "Widget").is_ready
    assert judged("example.com/v1", "Widget", seconds=5).is_ready


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("condition=Synced", True),
        ("condition=Stalled", False),
        ("condition=Stalled=False", True),
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}=Failed", False),
        ("jsonpath={.status.list[0].a}=1", True),
        ("jsonpath={.status.list[*].a}=2", True),
        ('jsonpath={.status.conditions[?(@.type=="Synced")].status}=True', True),
        ("jsonpath={.status.missing}", False),
        ('["condition=Synced", "jsonpath={.status.phase}=Failed"]', False),
        ('["condition=Synced", "jsonpath={.status.phase}=Running"]', True),
    ],
)
def test_a_program_may_say_what_to_wait_for(text: str, *, holds: bool) -> None:
    status = {
        "phase": "Running",
        "list": [{"a": 1}, {"a": 2}],
        "conditions": [
            {"type": "Synced", "status": "True"},
            {"type": "Stalled", "status": "False"},
        ],
    }
    notes = {"pulumi.com/waitFor": text}
    assert judged("example.com/v1", "Widget", notes=notes, status=status).is_ready is holds


@pytest.mark.parametrize("text", ["ready", "[]", "jsonpath={.a[}"])
def test_what_cannot_be_waited_for_is_refused(text: str) -> None:
    with pytest.raises(WaitForError, match=r"pulumi\.com/waitFor"):
        judged("v1", "ConfigMap", notes={"pulumi.com/waitFor": text}, a=1)


# Kubeconfigs.


def config(server: dict[str, Any], user: dict[str, Any], **context: str) -> dict[str, Any]:
    return {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", **context}}],
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
    }


def test_a_kubeconfig_is_a_text_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = config({"server": "http://api:8080/prefix/"}, {"token": "t"}, namespace="n")
    file = tmp_path / "config"
    file.write_text(json.dumps(given))
    monkeypatch.setenv("KUBECONFIG", f"{file}:/other")
    for form in (json.dumps(given), str(file), ""):
        access = kubeconfig.load(form)
        assert (access.host, access.port, access.prefix) == ("api", 8080, "/prefix")
        assert access.namespace == "n"
        assert access.headers == {"Authorization": "Bearer t"}
        assert access.tls is None


def test_a_token_may_be_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    file = tmp_path / "config"
    file.write_text(json.dumps(config({"server": "http://api"}, {"tokenFile": "token"})))
    assert kubeconfig.load(str(file)).headers == {"Authorization": "Bearer t"}


def test_the_server_is_checked_unless_it_is_said_not_to_be() -> None:
    strict = kubeconfig.load(json.dumps(config({"server": "https://api"}, {}))).tls
    assert strict
    assert strict.verify_mode is ssl.CERT_REQUIRED
    loose = {"server": "https://api", "insecure-skip-tls-verify": True}
    open_ = kubeconfig.load(json.dumps(config(loose, {}))).tls
    assert open_
    assert open_.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("/nowhere/config", "cannot be read"),
        ("{", "not YAML"),
        ("a\nb", "neither a kubeconfig nor a path"),
        (json.dumps(config({"server": "api"}, {})), "no address"),
        (json.dumps(config({"server": "https://api"}, {"exec": {}})), "a certificate or a token"),
        (
            json.dumps({**config({}, {}), "current-context": "two"}),
            r"no context of that name \(two",
        ),
        (
            json.dumps(
                config(
                    {"server": "https://api"},
                    {
                        "client-certificate-data": base64.b64encode(b"x").decode(),
                        "client-key-data": base64.b64encode(b"x").decode(),
                    },
                )
            ),
            "certificates cannot be used",
        ),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_told(given: str, why: str) -> None:
    with pytest.raises(KubeconfigError, match=why):
        kubeconfig.load(given)
