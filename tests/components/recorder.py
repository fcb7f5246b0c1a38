"""Runs a program against the SDK's mocks and keeps every resource as it was registered."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks, rpc

from components.homelab.secrets import Secrets
from inventory.model import Site
from provider.files import file_digest
from stacks import homelab
from tools.aws_echo import looked_up, made_outputs

SSH_CONFIG = Path("lab/ssh_config")
TLS_KEY = "the-private-key"


def password_of(account: str) -> str:
    """A plain string, as no caller marked it: a component marks what it must."""
    return f"password-of-{account}"


def secret_texts(site: Site) -> list[str]:
    """Everything that has to stay secret."""
    return [TLS_KEY, *(password_of(account) for account in site.accounts())]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A resource as the engine would have seen it.

    Attributes:
        inputs: as they were sent, secrets in their envelopes.
        parent: URN.
        provider: `URN::id` of an explicit provider, empty where the default one would serve.
        protect: whether the engine refuses to delete it.
        ignore_changes: inputs whose changes leave it as it is.
        depends_on: URNs, those that follow from the inputs included.
        references: URNs of the resources from which an input comes, by the input's name.
    """

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    retain_on_delete: bool
    depends_on: frozenset[str]
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    references: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def provider_name(self) -> str:
        """The explicit provider's name, empty where there is none."""
        return self.provider.split("::")[-2] if self.provider else ""


@dataclass(slots=True)
class Recording:
    """All resources of a program, in the order of their registration."""

    resources: list[Recorded] = field(default_factory=list)

    def of_type(self, kind: str) -> dict[str, Recorded]:
        """The resources of a type, by name; `Container` means docker's."""
        return {r.name: r for r in self.resources if r.type.endswith(f":{kind}")}

    def at(self, urn: str) -> Recorded:
        """The resource of that URN."""
        return next(r for r in self.resources if r.urn == urn)


def is_secret(value: Any) -> bool:
    """Whether a recorded value is a secret."""
    return isinstance(value, dict) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def opened(value: Any) -> Any:
    """The value out of its secret envelope."""
    return value["value"] if is_secret(value) else value


def public_texts(value: Any) -> Iterator[str]:
    """Every text within a recorded value that is not part of a secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and not is_secret(value):
        for key, below in value.items():
            yield key
            yield from public_texts(below)
    elif isinstance(value, list):
        for item in value:
            yield from public_texts(item)


class _Monitor(mocks.MockMonitor):
    """The SDK's mock engine, which keeps what its own mocks are not told."""

    def __init__(self, inner: mocks.Mocks) -> None:
        super().__init__(inner)
        self.recording = Recording()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the call
        self.recording.resources.append(
            Recorded(
                urn=self.make_urn(request.parent, request.type, request.name),
                type=request.type,
                name=request.name,
                inputs=self._transformed(request),
                parent=request.parent,
                provider=request.provider,
                retain_on_delete=request.retainOnDelete,
                depends_on=frozenset(request.dependencies),
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                references={
                    name: frozenset(found.urns)
                    for name, found in request.propertyDependencies.items()
                },
            )
        )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def _transformed(self, request: Any) -> dict[str, Any]:
        """The inputs after the stack's transforms, which the engine would run."""
        props: dict[str, Any] = MessageToDict(request.object)
        for transform in self._stack_transforms:
            options = pulumi.ResourceOptions()
            args = pulumi.ResourceTransformArgs(
                request.custom, request.type, request.name, props, options
            )
            result = transform(args)
            if isinstance(result, pulumi.ResourceTransformResult):
                props = dict(result.props)
        return props


class _Mocks(mocks.Mocks):
    """Everything is made at once and is what it was asked to be."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if args.typ.startswith("aws:"):
            kind = args.typ.removeprefix("aws:")
            made = made_outputs(kind, args.name, args.name, args.inputs)
            return made.pop("id"), made
        texts = opened(args.inputs.get("files", {}))
        return f"{args.name}-id", {
            **args.inputs,
            "imageId": f"sha256:{args.name}",
            "digest": f"digest-of-{args.name}",
            "digests": {path: file_digest(opened(text)) for path, text in texts.items()},
        }

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        return looked_up(args.token, args.args), []


def record(program: Callable[[], None]) -> Recording:
    """Runs a program to its end and returns all that it registered.

    Raises:
        Exception: whatever the program, or a callback of its outputs, raised.
    """

    def run() -> Recording:
        monitor = _Monitor(_Mocks())
        mocks.set_mocks(
            monitor.mocks, project="hearth", stack="test", preview=False, monitor=monitor
        )
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
        return monitor.recording

    # The SDK runs on the thread's loop, which other tests may have closed, and keeps its state in
    # context variables: a loop and a context of its own leave nothing behind.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return contextvars.copy_context().run(run)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def record_site(site: Site, *absent: str) -> Recording:
    """What the homelab stack declares of a site, of which some machines do not answer."""
    secrets = Secrets(
        passwords={account: password_of(account) for account in site.accounts()},
        tls_certificate="the-certificate",
        tls_private_key=TLS_KEY,
        tls_authority="the-authority",
    )
    return record(lambda: homelab.declare(site, secrets, SSH_CONFIG, absent))
