"""What the engine asks of the plugin, in plain values."""

from __future__ import annotations

import http
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tools.kubernetes_plugin import diffs, kubeconfig, objects, readiness, waiting
from tools.kubernetes_plugin.api import (
    Api,
    ApiError,
    NoSuchKindError,
    Object,
    UnreachableError,
)
from tools.kubernetes_plugin.fields import drifted, owned_by
from tools.kubernetes_plugin.kinds import DEFINITION, Kind, kind_of, refusal, token_of
from tools.kubernetes_plugin.objects import PATCH_FORCE, PROPAGATION, SKIP_AWAIT, annotation, title
from tools.kubernetes_plugin.values import UNKNOWN, as_secret_as, is_known, reveal
from tools.kubernetes_plugin.waiting import NotReadyError

Values = Mapping[str, Any]

NOTICE: Final = (
    "kubernetes: this is Hearth's own plugin; the official one is not to be had on this machine"
)
_BY_HAND: Final = (
    "kubectl",
    "before-first-apply",
    "pulumi-kubernetes",
    "pulumi-resource-kubernetes",
)
"""Whose fields are taken back without asking: a change by hand is drift."""

_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"(?P<subresource> with subresource)?')
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to make what depends on something that is being made itself."""

_UNWAITED_DELETES: Final = frozenset(
    {"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "StatefulSet"}
)
"""Of which the official plugin does not await the end either if told to skip waiting."""


class PluginError(Exception):
    """Why something is not done, where, and what to do."""


class PartialError(Exception):
    """Something was done and does not work.

    Attributes:
        id: of the object.
        state: as it is.
        inputs: as the object has them; None but for a read.
        reasons: why it does not work.
    """

    def __init__(self, error: NotReadyError, state: Values, inputs: Values | None = None) -> None:
        super().__init__(str(error))
        self.id = objects.id_of(error.live)
        self.state = state
        self.inputs = inputs
        self.reasons = error.reasons


class Tell(Protocol):
    """Shows a line to the person who runs the engine."""

    def __call__(self, line: str, urn: str = "", *, passing: bool = False) -> None:
        """Shows it.

        Args:
            line: what to show.
            urn: the resource that it is about.
            passing: whether it is a word on progress, gone with the next.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """The provider's configuration, as far as it matters here."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    patch_force: bool = False
    adopt: bool = False
    forget_unreachable: bool = False
    mutable: diffs.Mutable = field(default_factory=diffs.Mutable)
    unknown: bool = False
    """Whether a plan does not know yet which cluster it is."""


SETTINGS: Final[Mapping[str, str]] = {
    "cluster": "",
    "context": "",
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "kubeconfig": "",
    "namespace": "",
    "renderYamlToDirectory": "PULUMI_K8S_RENDER_YAML_TO_DIRECTORY",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}
"""The provider's arguments that are read, and the official variables that stand for them."""


def settings(given: Values, variables: Mapping[str, str]) -> Settings:
    """The configuration from the engine's.

    Args:
        given: the provider's arguments.
        variables: of the process.

    Raises:
        PluginError: Something is asked for that this plugin does not do.
    """
    plain = {
        name: str(reveal(given.get(name, variables.get(variable, ""))))
        for name, variable in SETTINGS.items()
        if given.get(name) is not UNKNOWN
    }

    def is_set(name: str) -> bool:
        return plain.get(name, "").lower() == "true"

    if plain.get("enableServerSideApply") and not is_set("enableServerSideApply"):
        raise PluginError(
            "kubernetes: Hearth's plugin applies on the server only; leave "
            "`enableServerSideApply` out, or put the official plugin on PATH"
        )
    if plain.get("renderYamlToDirectory"):
        raise PluginError(
            "kubernetes: Hearth's plugin writes no manifests (they would hold secrets in the "
            "open); leave `renderYamlToDirectory` out"
        )
    return Settings(
        kubeconfig=plain.get("kubeconfig", ""),
        context=plain.get("context", ""),
        cluster=plain.get("cluster", ""),
        namespace=plain.get("namespace", ""),
        patch_force=is_set("enablePatchForce"),
        adopt=is_set("upsertExistingObjects"),
        forget_unreachable=is_set("deleteUnreachable"),
        mutable=diffs.Mutable(
            config_maps=is_set("enableConfigMapMutable"),
            secrets=is_set("enableSecretMutable"),
        ),
        unknown=not is_known(given),
    )


@dataclass(frozen=True, slots=True)
class Diff:
    """What a change changes.

    Attributes:
        changes: each of them.
        deletes_first: whether the old object goes before the new one comes: they have one name.
    """

    changes: Sequence[diffs.Change]
    deletes_first: bool


class Plugin:
    """Kubernetes objects as the engine's resources."""

    def __init__(self, tell: Tell) -> None:
        """Asks nobody yet.

        Args:
            tell: shows a line to the person who runs the engine.
        """
        self._tell = tell
        self._settings = Settings()
        self._api: Api | None = None
        self._why_not = "kubernetes: the provider is not configured"
        self._scopes: dict[Kind, bool] = {}
        self._told: set[str] = set()
        self.stop = threading.Event()

    # The provider.

    def configure(self, chosen: Settings) -> None:
        """Notes which cluster it is; one that is not there yet matters only to what needs it."""
        self._tell_once(NOTICE)
        self._settings = chosen
        if chosen.unknown:
            self._why_not = "kubernetes: which cluster it is, is not known yet"
            return
        try:
            access = kubeconfig.load(chosen.kubeconfig, chosen.context, chosen.cluster)
        except kubeconfig.KubeconfigError as error:
            self._why_not = f"kubernetes: {error}"
            return
        self._api = Api(access)

    @property
    def _server(self) -> Api:
        if self._api is None:
            raise UnreachableError(self._why_not)
        return self._api

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    # A resource.

    def check(
        self, urn: str, before: Values, given: Values, seed: bytes, proposed: str | None = ""
    ) -> dict[str, Any]:
        """The inputs with what the program leaves to the plugin: kind, name, namespace.

        Args:
            urn: the resource's.
            before: the inputs of the object that is there; empty for a new one.
            given: the program's.
            seed: of a name that is made.
            proposed: the engine's name for it; empty for none, None if no name may be made.

        Raises:
            PluginError: It is nothing that this plugin makes.
        """
        token = token_of(urn)
        if why := refusal(token, given):
            raise PluginError(why)
        kind = kind_of(token, given)
        inputs = {"apiVersion": kind.version, "kind": kind.name, "metadata": {}, **given}
        if objects.metadata(inputs).get("generateName"):
            raise PluginError(
                f"{token}: metadata.generateName does not go with server-side apply; leave it "
                "and the name out, and a name is made of the resource's"
            )
        is_named = "name" in objects.metadata(inputs) or not is_known(inputs["metadata"])
        if proposed is None and not is_named:
            raise PluginError(f"{token}: names are not made here; set metadata.name")
        inputs = objects.named(inputs, before, urn, seed, proposed or "")
        if kind.name == DEFINITION:
            self._note_definition(inputs)
        has_none = "namespace" not in objects.metadata(inputs)
        if has_none and self._is_namespaced(kind):
            inputs = objects.with_metadata(inputs, namespace=self._namespace())
        return objects.guarded(inputs)

    def diff(self, urn: str, state: Values, before: Values, given: Values) -> Diff:
        """What changes from the old inputs to the new ones.

        Args:
            urn: the resource's.
            state: the old one.
            before: the old inputs; empty for those of the state.
            given: the new inputs.
        """
        said, live = objects.parsed(state)
        kind = kind_of(token_of(urn), given)
        old, new = objects.sent(before or said), objects.sent(given)
        owned = owned_by(live, str(reveal(state.get(objects.MANAGER, ""))))
        found = diffs.changes(kind, old, new, owned, self._settings.mutable)
        texts = {*(_texts(before or said)), *_texts(given)}
        found = [_by_texts(change, texts) for change in found]
        names = objects.metadata(new)
        keeps = [names.get(key) == objects.metadata(live).get(key) for key in ("name", "namespace")]
        is_made_up = annotation(new, objects.AUTONAMED) == "true"
        replaces = any(change.replaces for change in found)
        return Diff(found, deletes_first=replaces and all(keeps) and not is_made_up)

    def create(
        self, urn: str, given: Values, seconds: float, *, preview: bool
    ) -> tuple[str, dict[str, Any]]:
        """Makes an object and waits for it; a plan asks the server what would come of it.

        Returns:
            Its id, empty in a plan, and its state.

        Raises:
            PluginError: The server refuses.
            PartialError: It is made and does not become ready.
        """
        if preview:
            return "", self._previewed(urn, given)
        inputs, manager = objects.sent(given), objects.manager_of({}, objects.sent(given))
        live = self._patiently(inputs, lambda: self._made(inputs, manager))
        live = self._ready(urn, inputs, live, seconds, given, manager)
        return objects.id_of(live), objects.checkpoint(live, given, given, manager)

    def update(  # noqa: PLR0913 - as the engine asks
        self,
        urn: str,
        state: Values,
        given: Values,
        seconds: float,
        *,
        preview: bool,
        ignored: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Changes an object in place and waits for it; returns its state.

        Args:
            urn: the resource's.
            state: the old one.
            given: the new inputs.
            seconds: to wait; 0 for as long as the object or its kind says.
            preview: whether only to ask what would come of it.
            ignored: paths that the program leaves to others.

        Raises:
            PluginError: The server refuses, or another manager holds a field.
            PartialError: It is changed and does not become ready.
        """
        if preview and (not is_known(given) or self._api is None):
            return dict(given)
        inputs = objects.sent(given)
        manager = objects.manager_of(state, inputs)
        if preview:
            try:
                live = self._applied(inputs, manager, ignored, dry=True)
            except (NoSuchKindError, UnreachableError):
                return dict(given)
            except ApiError as error:
                raise PluginError(f"{title(inputs)}: {error}") from error
        else:
            live = self._patiently(inputs, lambda: self._applied(inputs, manager, ignored))
            live = self._ready(urn, inputs, live, seconds, given, manager)
        return objects.checkpoint(live, given, given, manager)

    def read(
        self, urn: str, id_: str, state: Values, given: Values
    ) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """An object as it is, or None if it is gone.

        Returns:
            Its id, its state, and its inputs as the server has them.

        Raises:
            PluginError: The server refuses or does not answer.
            PartialError: It is there and does not do its work.
        """
        _, before = objects.parsed(state)
        given = given or state.get(objects.INPUTS) or {}
        kind = kind_of(token_of(urn), given or before)
        namespace, name = objects.parted(id_)
        try:
            live = self._server.find(self._server.resource(kind).path(namespace, name))
        except NoSuchKindError:
            return None
        except ApiError as error:
            raise PluginError(f"{kind.name} {id_}: {error}") from error
        except UnreachableError as error:
            if self._settings.forget_unreachable:
                return None
            raise PluginError(
                f"{kind.name} {id_}: {error}; if the cluster is gone for good, set "
                "PULUMI_K8S_DELETE_UNREACHABLE=true to forget what was in it"
            ) from error
        if live is None:
            return None
        live = {"apiVersion": kind.version, "kind": kind.name, **live}
        return self._seen(id_, live, before, given, objects.manager_of(state, given))

    def delete(self, urn: str, id_: str, state: Values, seconds: float) -> None:
        """Deletes an object with what it owns and waits for its end.

        Raises:
            PluginError: The server refuses or does not answer.
            NotReadyError: It does not go in time, and why.
        """
        inputs, live = objects.parsed(state)
        kind = kind_of(token_of(urn), live)
        namespace, name = objects.parted(id_)
        try:
            path = self._server.resource(kind).path(namespace, name)
            found = self._server.find(path)
            if found is None:
                return
            self._server.delete(path, _propagation(inputs))
            skips = annotation(inputs, SKIP_AWAIT) == "true" and kind.name in _UNWAITED_DELETES
            if not skips:
                waiting.until_gone(
                    self._server,
                    path,
                    {"kind": kind.name, **found},
                    seconds=waiting.limit(inputs, kind, seconds),
                    say=self._say(urn),
                    stop=self.stop,
                )
        except NoSuchKindError:
            return
        except UnreachableError as error:
            if not self._settings.forget_unreachable:
                raise PluginError(f"{kind.name} {id_}: {error}") from error
        except ApiError as error:
            raise PluginError(f"{kind.name} {id_}: {error}") from error

    # Where and what.

    def _place(self, inputs: Values) -> str:
        resource = self._server.resource(Kind(inputs["apiVersion"], inputs["kind"]))
        data = inputs["metadata"]
        return resource.path(data.get("namespace", ""), data["name"])

    def _namespace(self) -> str:
        return self._settings.namespace or (self._api.namespace if self._api else "default")

    def _is_namespaced(self, kind: Kind) -> bool:
        if kind.is_built_in:
            return not kind.is_of_the_cluster
        if kind in self._scopes:
            return self._scopes[kind]
        try:
            return self._server.resource(kind).is_namespaced
        except (ApiError, NoSuchKindError, UnreachableError):
            return True  # its definition comes later; most are

    def _note_definition(self, inputs: Values) -> None:
        """Notes what a program's own CustomResourceDefinition will bring."""
        spec = reveal(inputs.get("spec"))
        if not isinstance(spec, Mapping) or not is_known(spec):
            return
        for version in spec.get("versions") or ():
            kind = Kind(f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            self._scopes[kind] = spec.get("scope") == "Namespaced"

    # Making and changing.

    def _previewed(self, urn: str, given: Values) -> dict[str, Any]:
        """What the server would make; what is asked for, where it cannot say."""
        if self._api is None or not is_known(given):
            return dict(given)
        inputs = objects.sent(given)
        try:
            path = self._place(inputs)
            if self._api.find(path):
                return dict(given)  # about to be replaced
            live = self._api.apply(path, inputs, "pulumi-kubernetes-preview", dry=True)
        except NoSuchKindError:
            return dict(given)
        except UnreachableError as error:
            self._tell_once(f"kubernetes: planned without the cluster: {error}")
            return dict(given)
        except ApiError as error:
            if error.code == http.HTTPStatus.FORBIDDEN:
                self._tell(f"{title(inputs)}: {error}", urn)
            elif error.code != http.HTTPStatus.NOT_FOUND:
                raise PluginError(f"{title(inputs)}: {error}") from error
            return dict(given)
        return objects.checkpoint(_planned(live, inputs), given, given, UNKNOWN)

    def _made(self, inputs: Object, manager: str) -> Object:
        path = self._place(inputs)
        may_adopt = self._settings.adopt or annotation(inputs, PATCH_FORCE) == "true"
        if not may_adopt and self._server.find(path):
            raise PluginError(
                f"{title(inputs)}: it is in the cluster already; import it (`pulumi import`, or "
                "the option `import_`), give this one another name, or take it over as it is with "
                "the provider's `upsertExistingObjects`"
            )
        return self._applied(inputs, manager)

    def _patiently(self, inputs: Values, make: Callable[[], Object]) -> Object:
        """Makes an object, and again if what it needs is being made just now."""
        for pause in (*_PAUSES, 0.0):
            try:
                return make()
            except (ApiError, NoSuchKindError, UnreachableError) as error:
                if not pause or not _may_pass(error):
                    raise PluginError(f"{title(inputs)}: {error}") from error
                self.stop.wait(pause)
        raise AssertionError("the last attempt returns or raises")

    def _applied(
        self, inputs: Object, manager: str, ignored: Sequence[str] = (), *, dry: bool = False
    ) -> Object:
        path = self._place(inputs)
        force = self._settings.patch_force or annotation(inputs, PATCH_FORCE) == "true"
        try:
            return self._server.apply(path, inputs, manager, force=force, dry=dry)
        except ApiError as error:
            conflicts = [one for one in error.causes if one.get("reason") == "FieldManagerConflict"]
            left = [one for one in conflicts if _field(one) in ignored]
            if left:
                rest = _without(inputs, [_field(one) for one in left])
                return self._applied(rest, manager, dry=dry)
            if conflicts and all(_is_by_hand(one) for one in conflicts):
                return self._server.apply(path, inputs, manager, force=True, dry=dry)
            if conflicts:
                raise PluginError(_explained(inputs, conflicts)) from error
            if _may_pass(error):
                raise
            raise PluginError(f"{title(inputs)}: {_hinted(error)}") from error

    def _ready(  # noqa: PLR0913, PLR0917 - an object, how it is waited for, what is kept of it
        self,
        urn: str,
        inputs: Object,
        live: Object,
        seconds: float,
        given: Values,
        manager: str,
    ) -> Object:
        kind = Kind(inputs["apiVersion"], inputs["kind"])
        try:
            return waiting.until_ready(
                self._server,
                self._place(inputs),
                inputs,
                live,
                seconds=waiting.limit(inputs, kind, seconds),
                say=self._say(urn),
                stop=self.stop,
            )
        except NotReadyError as error:
            state = objects.checkpoint(error.live, given, given, manager)
            raise PartialError(error, state) from error

    def _say(self, urn: str) -> Callable[[str], None]:
        last = ""

        def say(line: str) -> None:
            nonlocal last
            if line != last:
                self._tell(line, urn, passing=True)
            last = line

        return say

    # Seeing.

    def _seen(
        self, id_: str, live: Object, before: Values, given: Values, manager: str
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        if not given:
            inputs = objects.guarded(objects.underscored(objects.imported(live)))
            return id_, objects.checkpoint(live, inputs, inputs, manager), inputs
        now = drifted(objects.sent(given), before, live, owned_by(before or live, manager))
        plain = reveal(given)
        now = objects.decoded(now, plain) if objects.is_secret_object(now) else now
        inputs = objects.guarded(as_secret_as(objects.underscored(now), given))
        state = objects.checkpoint(live, inputs, given, manager)
        verdict = readiness.judge_alone(now, live)
        if not verdict.is_ready:
            error = NotReadyError(f"{title(live)}: {verdict.message}", live)
            raise PartialError(error, state, inputs)
        return id_, state, inputs


def _propagation(inputs: Values) -> str:
    word = annotation(inputs, PROPAGATION).lower()
    return {"orphan": "Orphan", "background": "Background"}.get(word, "Foreground")


def _texts(inputs: Values) -> set[str]:
    found = reveal(inputs.get("stringData"))
    return set(found) if isinstance(found, Mapping) else set()


def _by_texts(change: diffs.Change, texts: set[str]) -> diffs.Change:
    """A change of a Secret's data as one of the texts that the program gives."""
    if change.path[0] != "data" or not texts:
        return change
    if len(change.path) > 1 and change.path[1] not in texts:
        return change
    return diffs.Change(("stringData", *change.path[1:]), change.how, change.replaces)


def _planned(live: Object, inputs: Values) -> Object:
    """What a dry run made, without what the real one will make otherwise."""
    data = {**live["metadata"]}
    for key in ("uid", "creationTimestamp", "resourceVersion"):
        data[key] = UNKNOWN
    data.pop("managedFields", None)
    planned = {**live, "metadata": data}
    planned.pop("status", None)
    asked = inputs.get("spec") or {}
    if live.get("kind") == "Service" and "clusterIP" not in asked and "spec" in live:
        addresses = {key: UNKNOWN for key in ("clusterIP", "clusterIPs") if key in live["spec"]}
        planned["spec"] = {**live["spec"], **addresses}
    return planned


def _may_pass(error: Exception) -> bool:
    """Whether what is missing may be on its way: a namespace, a definition, an account."""
    if isinstance(error, ApiError):
        is_missing = error.code == http.HTTPStatus.NOT_FOUND
        return is_missing or "error looking up service account" in str(error)
    return isinstance(error, NoSuchKindError)


def _is_by_hand(conflict: Mapping[str, Any]) -> bool:
    found = _MANAGER.match(conflict.get("message", ""))
    return bool(found) and found["name"].startswith(_BY_HAND)  # type: ignore[index]


def _field(conflict: Mapping[str, Any]) -> str:
    return str(conflict.get("field", "")).lstrip(".")


def _without(of: Values, paths: Sequence[str]) -> Object:
    """An object without the fields at some paths of names."""
    heads: dict[str, list[str]] = {}
    for path in paths:
        head, _, rest = path.partition(".")
        heads.setdefault(head, []).append(rest)
    return {
        key: _without(value, heads[key]) if key in heads else value
        for key, value in of.items()
        if "" not in heads.get(key, ())
    }


def _explained(inputs: Values, conflicts: Sequence[Mapping[str, Any]]) -> str:
    fields = []
    for conflict in conflicts:
        found = _MANAGER.match(conflict.get("message", ""))
        holder = found["name"] if found else conflict.get("message", "another")
        fields.append(f"{_field(conflict)} is {holder}'s")
    return (
        f"{title(inputs)}: others hold some of its fields ({'; '.join(fields)}); leave these out "
        f'of the program, or take them with the annotation {PATCH_FORCE}: "true"'
    )


def _hinted(error: ApiError) -> str:
    text = str(error)
    if error.code == http.HTTPStatus.UNAUTHORIZED:
        return f"{text}: the cluster does not know the kubeconfig's user; fetch it anew"
    if "immutable" in text or "updates to statefulset spec" in text:
        return f"{text}; name the field in the option `replace_on_changes` to have it made anew"
    return text
