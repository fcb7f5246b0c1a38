"""The engine's calls, answered: its messages become plain values and errors in words."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any, NamedTuple, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, plugin_pb2, provider_pb2, status_pb2
from pulumi.runtime.proto.engine_pb2_grpc import EngineStub
from pulumi.runtime.proto.provider_pb2_grpc import (
    ResourceProviderServicer,
    add_ResourceProviderServicer_to_server,
)

from tools.kubernetes_plugin.diffs import Change, How
from tools.kubernetes_plugin.plugin import PartialError, Plugin, PluginError, Tell, settings
from tools.kubernetes_plugin.values import from_struct, to_struct
from tools.kubernetes_plugin.waiting import NotReadyError

_SECONDS_BETWEEN_LOOKS = 2.0
_THREADS = 256
"""As many as may wait for objects at once: one that waits may need one that is not made yet."""
_UNLIMITED = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
]
_KINDS = {
    (How.ADD, False): "ADD",
    (How.ADD, True): "ADD_REPLACE",
    (How.DELETE, False): "DELETE",
    (How.DELETE, True): "DELETE_REPLACE",
    (How.UPDATE, False): "UPDATE",
    (How.UPDATE, True): "UPDATE_REPLACE",
}


class _Fields(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


class _Status(_Fields, grpc.Status):  # type: ignore[misc]
    """A failure with more to it than words."""


class Server(ResourceProviderServicer):
    """The plugin, as the engine speaks to it."""

    def __init__(self, plugin: Plugin, version: str) -> None:
        """Serves a plugin.

        Args:
            plugin: what answers.
            version: of the SDK that programs use it with.
        """
        self._plugin = plugin
        self._version = version

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, D102, ARG002
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Hardly anything: programs have the official SDK."""
        schema = f'{{"name": "kubernetes", "version": "{self._version}"}}'
        return provider_pb2.GetSchemaResponse(schema=schema)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Takes the settings as they are."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Another kubeconfig reaches the same cluster: nothing is replaced."""
        differs = request.olds != request.news
        response = provider_pb2.DiffResponse
        return response(changes=response.DIFF_SOME if differs else response.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Notes which cluster it is."""
        given = from_struct(request.args)
        self._answered(context, lambda: self._plugin.configure(settings(given, os.environ)))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Completes a resource's inputs."""
        naming = request.autonaming
        is_off = naming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE
        inputs = self._answered(
            context,
            lambda: self._plugin.check(
                request.urn,
                from_struct(request.olds),
                from_struct(request.news),
                request.randomSeed,
                None if is_off else naming.proposed_name,
            ),
        )
        return provider_pb2.CheckResponse(inputs=to_struct(inputs))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compares inputs."""
        found = self._answered(
            context,
            lambda: self._plugin.diff(
                request.urn,
                from_struct(request.olds),
                from_struct(request.old_inputs),
                from_struct(request.news),
            ),
        )
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if found.changes else response.DIFF_NONE,
            replaces=[change.text for change in found.changes if change.replaces],
            diffs=sorted({str(change.path[0]) for change in found.changes}),
            detailedDiff={change.text: _message(change) for change in found.changes},
            hasDetailedDiff=True,
            deleteBeforeReplace=found.deletes_first,
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Makes an object."""
        id_, state = self._answered(
            context,
            lambda: self._plugin.create(
                request.urn,
                from_struct(request.properties),
                request.timeout,
                preview=request.preview,
            ),
        )
        return provider_pb2.CreateResponse(id=id_, properties=to_struct(state))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Changes an object."""
        state = self._answered(
            context,
            lambda: self._plugin.update(
                request.urn,
                from_struct(request.olds),
                from_struct(request.news),
                request.timeout,
                preview=request.preview,
                ignored=list(request.ignoreChanges),
            ),
        )
        return provider_pb2.UpdateResponse(properties=to_struct(state))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Looks at an object; without an id in the answer it is gone."""
        found = self._answered(
            context,
            lambda: self._plugin.read(
                request.urn,
                request.id,
                from_struct(request.properties),
                from_struct(request.inputs),
            ),
        )
        if found is None:
            return provider_pb2.ReadResponse()
        id_, state, inputs = found
        return provider_pb2.ReadResponse(
            id=id_, properties=to_struct(state), inputs=to_struct(inputs)
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Deletes an object."""
        self._answered(
            context,
            lambda: self._plugin.delete(
                request.urn, request.id, from_struct(request.properties), request.timeout
            ),
        )
        return Empty()

    def Invoke(self, request: Any, context: Any) -> NoReturn:  # noqa: N802
        """Refuses: what the official plugin computes for YAML, Helm and Kustomize."""
        _refuse(request.tok, context)

    def Construct(self, request: Any, context: Any) -> NoReturn:  # noqa: N802
        """Refuses: the components for YAML, Helm and Kustomize are in the official plugin."""
        _refuse(request.type, context)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Stops waiting."""
        self._plugin.stop.set()
        return Empty()

    def _answered(self, context: Any, ask: Callable[[], Any]) -> Any:
        """The plugin's answer, or its error as the engine shows it."""
        try:
            return ask()
        except PartialError as error:
            _abort_partially(context, error)
        except NotReadyError as error:
            context.abort(grpc.StatusCode.UNKNOWN, "\n".join([str(error), *error.reasons]))
        except PluginError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            sys.stderr.write(traceback.format_exc())
            text = f"kubernetes: {type(error).__name__}: {error}"
            context.abort(grpc.StatusCode.INTERNAL, text)
            raise


def _refuse(token: str, context: Any) -> NoReturn:
    context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{token}: this needs Pulumi's own kubernetes plugin, and this is Hearth's; declare the "
        "objects in the program, or put the official plugin on PATH",
    )
    raise AssertionError("abort raises")


def _abort_partially(context: Any, error: PartialError) -> None:
    """The engine keeps what was made, and tries it again at the next update."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id,
        properties=to_struct(error.state),
        inputs=to_struct(error.inputs) if error.inputs is not None else None,
        reasons=[str(error), *error.reasons],
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    more = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, str(error), more))


def _message(change: Change) -> Any:
    kind = getattr(provider_pb2.PropertyDiff, _KINDS[change.how, change.replaces])
    return provider_pb2.PropertyDiff(kind=kind, inputDiff=True)


def _teller(engine: str) -> Tell:
    stub = EngineStub(grpc.insecure_channel(engine, options=_UNLIMITED))

    def tell(line: str, urn: str = "", *, passing: bool = False) -> None:
        stub.Log(
            engine_pb2.LogRequest(
                severity=engine_pb2.INFO, message=line, urn=urn, ephemeral=passing
            )
        )

    return tell


def main() -> None:
    """Serve until the engine goes away or asks to stop."""
    engine = next((word for word in reversed(sys.argv[1:]) if not word.startswith("-")), "")
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=_UNLIMITED)
    servicer = Server(Plugin(_teller(engine)), metadata.version("pulumi-kubernetes"))
    add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent = os.getppid()
    while not asked.wait(_SECONDS_BETWEEN_LOOKS) and os.getppid() == parent:
        pass
    # gRPC's own way out takes its time and may talk about it.
    os._exit(0)
