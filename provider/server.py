"""The provider as the engine speaks to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pulumi.provider.experimental.property_value import PropertyValue, PropertyValueType
from pulumi.provider.experimental.provider import (
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    GetSchemaRequest,
    GetSchemaResponse,
    PropertyDiff,
    PropertyDiffKind,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)
from pulumi.runtime.rpc import UNKNOWN

from provider import files
from provider.machine import Machines
from provider.tokens import FILES, PACKAGE

VERSION = "1.0.0"
DIFFERENT = "(not what was put there)"
"""Stands for the text of a file that a refresh finds changed or missing."""
_MOVES = ("host", "folder")
_DERIVED = ("digest", "digests")

Properties = Mapping[str, PropertyValue]


class HostProvider(Provider):
    """Files and scripts on machines that ssh reaches."""

    def __init__(self) -> None:
        self._machines: Machines | None = None

    async def get_schema(self, request: GetSchemaRequest) -> GetSchemaResponse:
        """Hardly anything: the resources' classes are written by hand."""
        del request
        return GetSchemaResponse(f'{{"name": "{PACKAGE}", "version": "{VERSION}"}}')

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        """Takes the settings as they are."""
        return CheckResponse(request.new_inputs)

    async def diff_config(self, request: DiffRequest) -> DiffResponse:
        """Another ssh configuration reaches the same machines: nothing is replaced."""
        return _difference(request.old_state, request.new_inputs)

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        """Notes how the machines are reached."""
        found = request.args.get("sshConfig")
        self._machines = Machines(_plain(found) if found else "")
        return ConfigureResponse(accept_secrets=True, supports_preview=True, accept_outputs=False)

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Takes the inputs as they are: components are typed."""
        return CheckResponse(request.new_inputs)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compares inputs; another machine or folder is another resource."""
        return _difference(request.old_state, request.new_inputs)

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Puts the files, or runs the script, unless it waits for a trigger to change."""
        if not request.preview and not _waits(request.properties):
            await self._apply(request.urn, request.properties)
        return CreateResponse(request.name, _state(request.properties))

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        """Puts the files, or runs the script, again."""
        triggered = _plain_or_none(request.olds, "triggers") != _plain_or_none(
            request.news, "triggers"
        )
        if not request.preview and (triggered or not _waits(request.news)):
            await self._apply(request.urn, request.news)
        return UpdateResponse(_state(request.news))

    async def read(self, request: ReadRequest) -> ReadResponse:
        """What is on the machine; a script is what it was."""
        if not _is_files(request.urn):
            return ReadResponse(request.resource_id, dict(request.properties), dict(request.inputs))
        properties = {key: _plain(value) for key, value in request.properties.items()}
        printed = await self._run(properties["host"], files.read_script(properties["folder"]))
        if printed.strip() == files.GONE:
            return ReadResponse()
        changed = files.differing(properties["files"], printed)
        return ReadResponse(
            request.resource_id,
            _marked(request.properties, changed) if changed else dict(request.properties),
            dict(request.inputs),
        )

    async def delete(self, request: DeleteRequest) -> None:
        """Takes the files away; what a script did stays done."""
        if _is_files(request.urn):
            host, folder = (_plain(request.properties[key]) for key in _MOVES)
            await self._run(host, files.remove_script(folder))

    async def _apply(self, urn: str, given: Properties) -> None:
        properties = {key: _plain(value) for key, value in given.items()}
        if _is_files(urn):
            script = files.put_script(
                properties["folder"], properties["files"], properties["reload"]
            )
        else:
            script = properties["script"]
        await self._run(properties["host"], script)

    async def _run(self, host: str, script: str) -> str:
        if self._machines is None:
            raise RuntimeError("the provider is not configured")
        return await self._machines.run(host, script)


def _is_files(urn: str) -> bool:
    """Whether a URN's type, the last of its parents', is that of files rather than a script."""
    return urn.split("::")[2].rpartition("$")[2] == FILES


def _waits(given: Properties) -> bool:
    """Whether these are a script's that runs for a changed trigger alone."""
    return _plain_or_none(given, "whenNew") is False


def _plain_or_none(given: Properties, key: str) -> Any:
    return _plain(given[key]) if key in given else None


def _plain(value: PropertyValue) -> Any:
    """The value without what Pulumi knows about it; unknown ones as they are."""
    if isinstance(value.value, Mapping):
        return {key: _plain(item) for key, item in value.value.items()}
    if value.type is PropertyValueType.ARRAY:
        return [_plain(item) for item in cast("list[PropertyValue]", value.value)]
    return value.value


def _is_known(value: PropertyValue) -> bool:
    if isinstance(value.value, Mapping):
        return all(_is_known(item) for item in value.value.values())
    if value.type is PropertyValueType.ARRAY:
        return all(_is_known(item) for item in cast("list[PropertyValue]", value.value))
    return value.value != UNKNOWN


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key in sorted(value) for text in (key, *_texts(value[key]))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]


def _state(given: Properties) -> dict[str, PropertyValue]:
    """A resource's properties: its inputs and their digests, where they are known.

    What is not known is a text of the engine's: the SDK neither reads it as a computed value nor
    can send one.
    """
    inputs = {key: value for key, value in given.items() if key not in _DERIVED}
    if not all(_is_known(value) for value in inputs.values()):
        return {**inputs, **dict.fromkeys(_DERIVED, PropertyValue(UNKNOWN))}
    plain = {key: _plain(value) for key, value in inputs.items() if key != "reload"}
    digests = {
        path: PropertyValue(files.file_digest(text))
        for path, text in plain.get("files", {}).items()
    }
    return {
        **inputs,
        "digest": PropertyValue(files.digest(*_texts(plain))),
        "digests": PropertyValue(digests),
    }


def _marked(properties: Properties, changed: set[str]) -> dict[str, PropertyValue]:
    """The properties of files some of which are not what was put."""
    texts = dict(properties["files"].value)  # type: ignore[arg-type]
    texts |= {path: PropertyValue(DIFFERENT) for path in changed}
    return {**properties, "files": PropertyValue(texts)}


def _difference(old: Properties, new: Properties) -> DiffResponse:
    """Which inputs differ, by name, and each file by its own."""
    detailed: dict[str, PropertyDiff] = {}
    for key in (old.keys() | new.keys()) - set(_DERIVED):
        before, after = (_items(key, side.get(key)) for side in (old, new))
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                detailed[name] = PropertyDiff(_kind(key, name in before, name in after), True)
    changed = sorted({name.partition("[")[0] for name in detailed})
    return DiffResponse(
        changes=bool(detailed),
        replaces=[key for key in changed if key in _MOVES],
        diffs=changed,
        detailed_diff=detailed,
    )


def _items(key: str, value: PropertyValue | None) -> dict[str, Any]:
    """A property by itself, or each of a map's by Pulumi's path."""
    if value is None:
        return {}
    if value.type is PropertyValueType.MAP:
        items: dict[str, PropertyValue] = value.value  # type: ignore[assignment]
        return {f'{key}["{name}"]': _plain(item) for name, item in items.items()}
    return {key: _plain(value)}


def _kind(key: str, before: bool, after: bool) -> PropertyDiffKind:  # noqa: FBT001 - a table
    if key in _MOVES:
        return PropertyDiffKind.UPDATE_REPLACE
    if before and after:
        return PropertyDiffKind.UPDATE
    return PropertyDiffKind.ADD if after else PropertyDiffKind.DELETE
