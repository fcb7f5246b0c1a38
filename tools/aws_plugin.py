"""A stand-in for Pulumi's aws plugin: the engine plans and runs a stack without AWS.

What a program asks for becomes the state, with the ids and outputs of `tools.aws_echo`. Nobody is
asked anything. It serves one backend only, the one that HEARTH_OFFLINE names, so that its resources
never get into the state of a real account.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, cast

import grpc  # type: ignore[import-untyped]
from pulumi.provider.experimental.property_value import PropertyValue, PropertyValueType
from pulumi.provider.experimental.provider import (
    CheckFailure,
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
    InvokeRequest,
    InvokeResponse,
    PropertyDiff,
    PropertyDiffKind,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)
from pulumi.provider.experimental.server import main as serve
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto.engine_pb2_grpc import EngineStub
from pulumi.runtime.rpc import UNKNOWN

from tools.aws_echo import ACCOUNT, BACKEND, OFFLINE, REGION, digest, made_id, made_outputs
from tools.aws_immutable import is_immutable

NOTICE = "offline: AWS is not asked; ids, names and addresses are made up"
_INPUTS = "__inputs"
"""What was asked for, kept in the state: the engine hands on old states only, without inputs."""

Properties = Mapping[str, PropertyValue]
Tell = Callable[[str], None]

NAMED: Mapping[str, str] = {
    "backup/plan:Plan": "name",
    "backup/vault:Vault": "name",
    "cloudfront/cachePolicy:CachePolicy": "name",
    "cloudfront/function:Function": "name",
    "cloudfront/originAccessControl:OriginAccessControl": "name",
    "cloudfront/originRequestPolicy:OriginRequestPolicy": "name",
    "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": "name",
    "cloudwatch/eventRule:EventRule": "name",
    "cloudwatch/logGroup:LogGroup": "name",
    "cloudwatch/metricAlarm:MetricAlarm": "name",
    "ec2/launchTemplate:LaunchTemplate": "name",
    "ec2/securityGroup:SecurityGroup": "name",
    "ecr/repository:Repository": "name",
    "eks/cluster:Cluster": "name",
    "eks/nodeGroup:NodeGroup": "nodeGroupName",
    "elasticache/parameterGroup:ParameterGroup": "name",
    "elasticache/replicationGroup:ReplicationGroup": "replicationGroupId",
    "elasticache/subnetGroup:SubnetGroup": "name",
    "iam/instanceProfile:InstanceProfile": "name",
    "iam/policy:Policy": "name",
    "iam/role:Role": "name",
    "iam/rolePolicy:RolePolicy": "name",
    "kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": "name",
    "lb/loadBalancer:LoadBalancer": "name",
    "lb/targetGroup:TargetGroup": "name",
    "rds/instance:Instance": "identifier",
    "rds/parameterGroup:ParameterGroup": "name",
    "rds/subnetGroup:SubnetGroup": "name",
    "s3/bucket:Bucket": "bucket",
    "secretsmanager/secret:Secret": "name",
    "sns/topic:Topic": "name",
    "sqs/queue:Queue": "name",
    "wafv2/webAcl:WebAcl": "name",
}
"""Where the official plugin makes a name of the resource's own and a suffix, if none is given."""


class EchoProvider(Provider):
    """Every resource is what it was asked to be."""

    def __init__(self, tell: Tell) -> None:
        """Asks nobody.

        Args:
            tell: shows a line to the person who runs the engine.
        """
        self._tell = tell
        self._told = False

    async def get_schema(self, request: GetSchemaRequest) -> GetSchemaResponse:
        """Hardly anything: programs have the official SDK."""
        del request
        return GetSchemaResponse('{"name": "aws"}')

    async def diff_config(self, request: DiffRequest) -> DiffResponse:
        """Another region or account is for resources to follow."""
        del request
        return DiffResponse(changes=False)

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        """Says once a run what this is."""
        del request
        if not self._told:
            self._tell(NOTICE)
            self._told = True
        return ConfigureResponse(
            accept_secrets=True, supports_preview=True, accept_resources=False, accept_outputs=False
        )

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Adds a name where the official plugin would."""
        inputs = dict(request.new_inputs)
        key = NAMED.get(_kind(request.urn))
        if key and key not in inputs and f"{key}Prefix" not in inputs:
            name = f"{_name(request.urn)}-{digest(request.urn)[:7]}"
            inputs[key] = PropertyValue(name.lower())
        return CheckResponse(inputs)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compares what is asked for with what was; some of it makes another resource."""
        kind = _kind(request.urn)
        old = _fields(request.old_state[_INPUTS])
        found = dict(_differences(old, request.new_inputs))
        replacing = {path for path in found if is_immutable(kind, path)}
        return DiffResponse(
            changes=bool(found),
            replaces=sorted({_top(path) for path in replacing}),
            diffs=sorted({_top(path) for path in found}),
            detailed_diff={
                path: PropertyDiff(_REPLACING[what] if path in replacing else what, input_diff=True)
                for path, what in found.items()
            },
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Makes up a resource; in a plan what AWS would add is not known yet."""
        kind, name = _kind(request.urn), _name(request.urn)
        known = _known(request.properties)
        made = made_outputs(kind, name, request.urn, known)
        made.pop("id")
        state = _completed(made, request.properties, unknown=request.preview)
        id_ = "" if request.preview else made_id(kind, name, request.urn, known)
        return CreateResponse(id_, state)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        """Changes what was asked for; ids and the rest stay."""
        before = _fields(request.olds[_INPUTS])
        gone_or_new = before.keys() | request.news.keys()
        stays = {key: value for key, value in request.olds.items() if key not in gone_or_new}
        made = made_outputs(
            _kind(request.urn), _name(request.urn), request.urn, _known(request.news)
        )
        made.pop("id")
        added = {key: _wrapped(value) for key, value in made.items() if key == "tagsAll"}
        state = _completed(made, request.news, unknown=False)
        return UpdateResponse({**state, **stays, **added, _INPUTS: state[_INPUTS]})

    async def read(self, request: ReadRequest) -> ReadResponse:
        """Nobody changes made-up resources behind the engine's back."""
        return ReadResponse(request.resource_id, dict(request.properties), dict(request.inputs))

    async def delete(self, request: DeleteRequest) -> None:
        """There is nothing to be deleted."""

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        """Answers what does not depend on what an account holds."""
        answer = _ANSWERS.get(request.tok)
        if answer is None:
            reason = (
                f"{request.tok}: there is no account to be asked; give the program what it asks "
                "for as an argument, or plan with --online"
            )
            return InvokeResponse(failures=[CheckFailure("", reason)])
        return InvokeResponse({key: _wrapped(value) for key, value in answer().items()})


_REPLACING = {
    PropertyDiffKind.ADD: PropertyDiffKind.ADD_REPLACE,
    PropertyDiffKind.DELETE: PropertyDiffKind.DELETE_REPLACE,
    PropertyDiffKind.UPDATE: PropertyDiffKind.UPDATE_REPLACE,
}
_ZONES = [f"{REGION}{letter}" for letter in "abcdef"]
_ANSWERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda: {
        "id": ACCOUNT,
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/offline",
        "userId": "AIDAOFFLINE",
    },
    "aws:index/getRegion:getRegion": lambda: {
        "id": REGION,
        "name": REGION,
        "region": REGION,
        "description": "made up",
    },
    "aws:index/getPartition:getPartition": lambda: {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda: {
        "id": REGION,
        "names": _ZONES,
        "zoneIds": [f"use1-az{number}" for number, _ in enumerate(_ZONES, 1)],
        "groupNames": [REGION],
        "region": REGION,
    },
}


def refusal(variables: Mapping[str, str]) -> str:
    """Why it may not be used with these variables; empty where it may."""
    if variables.get(OFFLINE) and variables.get(OFFLINE) == variables.get(BACKEND):
        return ""
    return (
        f"AWS's stand-in: {BACKEND} is not the backend for made-up resources ({OFFLINE}); only "
        "`hearth` starts it, in .hearth/offline"
    )


def _kind(urn: str) -> str:
    """The type without its parents' and without the package, `ec2/vpc:Vpc`."""
    return urn.split("::")[2].rpartition("$")[2].partition(":")[2]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _top(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def _fields(value: PropertyValue) -> Properties:
    """A map's properties; none of something else."""
    if value.type is not PropertyValueType.MAP:
        return {}
    return cast("Properties", value.value)


def _items(value: PropertyValue) -> Sequence[PropertyValue]:
    return cast("Sequence[PropertyValue]", value.value)


def _differences(
    old: Properties, new: Properties, above: str = ""
) -> Iterator[tuple[str, PropertyDiffKind]]:
    """Every path at which two maps differ, in the form of the engine's, and how."""
    for key in sorted(old.keys() | new.keys()):
        path = _path(above, key)
        if key not in new:
            yield path, PropertyDiffKind.DELETE
        elif key not in old:
            yield path, PropertyDiffKind.ADD
        else:
            yield from _within(old[key], new[key], path)


def _within(
    old: PropertyValue, new: PropertyValue, path: str
) -> Iterator[tuple[str, PropertyDiffKind]]:
    if PropertyValueType.MAP is old.type is new.type:
        yield from _differences(_fields(old), _fields(new), path)
    elif _is_array(old) and _is_array(new) and len(_items(old)) == len(_items(new)):
        for index, pair in enumerate(zip(_items(old), _items(new), strict=True)):
            yield from _within(*pair, f"{path}[{index}]")
    elif _plain(old) != _plain(new):
        yield path, PropertyDiffKind.UPDATE


def _path(above: str, key: str) -> str:
    if not key.replace("_", "").isalnum():
        return f'{above}["{key}"]'
    return f"{above}.{key}" if above else key


def _is_array(value: PropertyValue) -> bool:
    return value.type is PropertyValueType.ARRAY


def _is_known(value: PropertyValue) -> bool:
    if value.type is PropertyValueType.MAP:
        return all(_is_known(item) for item in _fields(value).values())
    if _is_array(value):
        return all(_is_known(item) for item in _items(value))
    return value.value != UNKNOWN


def _known(properties: Properties) -> dict[str, Any]:
    """Those that are known, as plain values."""
    return {key: _plain(value) for key, value in properties.items() if _is_known(value)}


def _plain(value: PropertyValue) -> Any:
    """The value without what Pulumi knows about it."""
    if value.type is PropertyValueType.MAP:
        return {key: _plain(item) for key, item in _fields(value).items()}
    if _is_array(value):
        return [_plain(item) for item in _items(value)]
    return value.value


def _wrapped(value: Any) -> PropertyValue:
    """A plain value as the engine takes it: its only numbers are floats."""
    if isinstance(value, Mapping):
        return PropertyValue({key: _wrapped(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([_wrapped(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def _completed(
    made: Mapping[str, Any], given: Properties, *, unknown: bool
) -> dict[str, PropertyValue]:
    """A resource's state: what was given, and what AWS adds to it, in a plan unknown."""

    def added(value: Any) -> PropertyValue:
        return PropertyValue(UNKNOWN) if unknown else _wrapped(value)

    state = {key: added(value) for key, value in made.items() if key not in given}
    for key, value in given.items():
        state[key] = value
        more = made.get(key)
        if isinstance(more, Mapping) and value.type is PropertyValueType.MAP:
            within = _fields(value)
            extra = {name: added(item) for name, item in more.items() if name not in within}
            state[key] = value.with_value({**extra, **within})
    return {**state, _INPUTS: PropertyValue(dict(given))}


def main() -> None:
    """Serves the engine that started it, unless its state could be a real account's."""
    if reason := refusal(os.environ):
        sys.exit(reason)
    engine = EngineStub(grpc.insecure_channel(sys.argv[1]))

    def tell(line: str) -> None:
        engine.Log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=line))

    serve(sys.argv[1:], metadata.version("pulumi-aws"), EchoProvider(tell))


if __name__ == "__main__":
    main()
