"""Objects: their names, their secrets, what is sent of them, what the state keeps."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from tools.kubernetes_plugin.kinds import SECRET, name_of
from tools.kubernetes_plugin.values import UNKNOWN, Secret, as_secret_as, reveal

AUTONAMED: Final = "pulumi.com/autonamed"
PATCH_FORCE: Final = "pulumi.com/patchForce"
FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT: Final = "pulumi.com/timeoutSeconds"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"

INPUTS: Final = "__inputs"
MANAGER: Final = "__fieldManager"
VERSION: Final = "__initialApiVersion"
_OURS = (INPUTS, MANAGER, VERSION)

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OF_THE_SERVER = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_DASHED = {
    f"x_kubernetes_{name}": f"x-kubernetes-{name.replace('_', '-')}"
    for name in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}
"""Names in the schemas of CustomResourceDefinitions, as the SDK has them and as the server does."""
_UNDERSCORED = {dashed: name for name, dashed in _DASHED.items()}


def metadata(of: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's metadata; empty where it has none or none is known."""
    found = reveal(of.get("metadata"))
    return found if isinstance(found, Mapping) else {}


def annotation(of: Mapping[str, Any], name: str) -> str:
    """An annotation's text; empty where there is none."""
    found = metadata(of).get("annotations")
    text = found.get(name) if isinstance(found, Mapping) else ""
    return text if isinstance(text, str) else ""


def title(of: Mapping[str, Any]) -> str:
    """What people call an object: its kind, namespace and name."""
    return f"{of.get('kind', 'object')} {id_of(of)}"


def id_of(of: Mapping[str, Any]) -> str:
    """An object's id: its namespace, if it has one, and its name."""
    data = metadata(of)
    name, namespace = data.get("name", ""), data.get("namespace")
    return f"{namespace}/{name}" if namespace else str(name)


def parted(id_: str) -> tuple[str, str]:
    """An id's namespace, maybe empty, and its name."""
    namespace, _, name = id_.rpartition("/")
    return namespace, name


def with_metadata(of: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The object with other metadata, as secret as it was; unchanged where none of it is known."""
    found = of.get("metadata", {})
    inner = found.value if isinstance(found, Secret) else found
    if not isinstance(inner, Mapping):
        return dict(of)
    changed = {**inner, **changes}
    return {**of, "metadata": Secret(changed) if isinstance(found, Secret) else changed}


def named(
    inputs: Mapping[str, Any], before: Mapping[str, Any], urn: str, seed: bytes, proposed: str = ""
) -> dict[str, Any]:
    """The inputs with a name: their own, that of before if it was made, or one made now.

    Args:
        inputs: new ones.
        before: those of the object that is there; empty for a new one.
        urn: the resource's.
        seed: for the name's eight digits; empty for any.
        proposed: the engine's own proposal of a name, if it makes one.
    """
    data = inputs.get("metadata", {})
    if metadata(inputs).get("name") or reveal(data) is UNKNOWN:
        return dict(inputs)
    if before:
        if annotation(before, AUTONAMED) != "true":
            return dict(inputs)
        name = metadata(before)["name"]
    else:
        digits = hashlib.sha256(seed).hexdigest()[:8] if seed else secrets.token_hex(4)
        name = proposed or f"{name_of(urn)}-{digits}"
    inner = data.value if isinstance(data, Secret) else data
    annotations = inner.get("annotations", {})
    if isinstance(annotations, Mapping):
        annotations = {**annotations, AUTONAMED: "true"}
    return with_metadata(inputs, name=name, annotations=annotations)


def guarded(values: Mapping[str, Any]) -> dict[str, Any]:
    """An object with what is confidential in every Secret marked so, whoever gave it."""
    marked = dict(values)
    if marked.get("kind") != SECRET[1]:
        return marked
    for key in ("data", "stringData"):
        if key in marked and not isinstance(marked[key], Secret):
            marked[key] = Secret(marked[key])
    found = marked.get("metadata")
    notes = found.get("annotations") if isinstance(found, Mapping) else None
    if isinstance(notes, Mapping) and _LAST_APPLIED in notes:
        hidden = Secret(reveal(notes[_LAST_APPLIED]))
        marked = with_metadata(marked, annotations={**notes, _LAST_APPLIED: hidden})
    return marked


def is_secret_object(of: Mapping[str, Any]) -> bool:
    """Whether it is a Secret of the core's."""
    return (of.get("apiVersion"), of.get("kind")) == SECRET


def sent(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as the server gets them: in the open, without what is its own to say.

    A Secret's `stringData` becomes `data`, as the server would make it: it does not keep who owns
    fields of the former, so one that left would stay.
    """
    wanted: dict[str, Any] = _renamed(reveal(inputs), _DASHED)
    wanted.pop("status", None)
    data = wanted.get("metadata")
    if isinstance(data, Mapping):
        wanted["metadata"] = {k: v for k, v in data.items() if k not in _OF_THE_SERVER}
    return encoded(wanted) if is_secret_object(wanted) else wanted


def encoded(secret: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret whose texts are among its data."""
    texts = secret.get("stringData")
    if texts is None:
        return dict(secret)
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    data = secret.get("data", {})
    if texts is UNKNOWN or data is UNKNOWN:
        return {**rest, "data": UNKNOWN}
    return {**rest, "data": {**data, **{key: _encoded(text) for key, text in texts.items()}}}


def _encoded(text: Any) -> Any:
    return text if text is UNKNOWN else base64.b64encode(str(text).encode()).decode()


def decoded(secret: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret whose data are texts again where they are so in `like`."""
    texts = like.get("stringData")
    if not isinstance(texts, Mapping):
        return dict(secret)
    data = dict(secret.get("data") or {})
    found: dict[str, str] = {}
    for key in texts:
        if key in data:
            raw = base64.b64decode(data[key])
            try:
                found[key] = raw.decode()
            except UnicodeDecodeError:
                continue
            del data[key]
    rest = {key: value for key, value in secret.items() if key != "data"}
    return {**rest, **({"data": data} if data else {}), "stringData": found}


def checkpoint(
    live: Mapping[str, Any], inputs: Mapping[str, Any], given: Mapping[str, Any], manager: Any
) -> dict[str, Any]:
    """What the state keeps of an object, in the form that the official plugin gives it.

    Args:
        live: the object as the server has it.
        inputs: what of it the program says.
        given: the program's properties, whose secrets stay so.
        manager: the name under which its fields are held; unknown in a plan.
    """
    kept = as_secret_as(_renamed(live, _UNDERSCORED), given)
    texts = given.get("stringData")
    if is_secret_object(live) and isinstance(texts, Mapping) and isinstance(kept.get("data"), dict):
        kept["data"] = as_secret_as(kept["data"], texts)
    said = as_secret_as(_renamed(reveal(inputs), _UNDERSCORED), given)
    return {
        **guarded(kept),
        INPUTS: guarded(said),
        MANAGER: manager,
        VERSION: inputs.get("apiVersion", live.get("apiVersion", "")),
    }


def parsed(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A state's inputs and its object, in the open, by the server's names."""
    plain: dict[str, Any] = _renamed(reveal(state), _DASHED)
    inputs = plain.get(INPUTS) or {}
    return inputs, {key: value for key, value in plain.items() if key not in _OURS}


def manager_of(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """Under which name fields are held: the program's, the state's, or a new one."""
    chosen = annotation(inputs, FIELD_MANAGER) or reveal(state.get(MANAGER))
    return chosen or f"pulumi-kubernetes-{secrets.token_hex(4)}"


def imported(live: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs that would make an object as it is, for one that no program has declared yet."""
    inputs = {key: value for key, value in live.items() if key != "status"}
    data = {k: v for k, v in metadata(live).items() if k not in _OF_THE_SERVER}
    notes = {
        key: value
        for key, value in (data.get("annotations") or {}).items()
        if key not in (_LAST_APPLIED, "deployment.kubernetes.io/revision")
    }
    data = {k: v for k, v in data.items() if k != "annotations"}
    inputs["metadata"] = {**data, "annotations": notes} if notes else data
    return inputs


def underscored(values: Mapping[str, Any]) -> dict[str, Any]:
    """The object by the SDK's names."""
    renamed: dict[str, Any] = _renamed(values, _UNDERSCORED)
    return renamed


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, Secret):
        return Secret(_renamed(value.value, names))
    return value
