"""Policies for the engine: what `pulumi preview --policy-pack policies` asks of a pack.

It speaks the engine's protocol with the SDK's own messages. Pulumi's policy SDK would do the same,
but asks for an older protobuf than the SDK itself is installed with.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from inventory.cloud.loading import environments, load_environment
from inventory.cloud.model import Environment
from policies.catalogue import IN_CLUSTERS, POLICIES
from policies.graph import Finding, Graph, Policy, Resource, judge
from policies.wire import plain

ALL = (*POLICIES, *IN_CLUSTERS)
PACK, VERSION = "hearth", "0.1.0"
_UNLIMITED = [("grpc.max_receive_message_length", 400 << 20)]


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """The calls of the engine's Analyzer service; every fault stops the update."""

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the name of the call
        """Nothing to agree on."""
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """The pack's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """All policies."""
        return analyzer_pb2.AnalyzerInfo(
            name=PACK,
            displayName="Hearth",
            version=VERSION,
            policies=[_info(policy) for policy in ALL],
        )

    def Configure(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """Nothing can be configured."""
        return Empty()

    def ConfigureStack(self, request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """The stack's name is its environment's: what that does without is not asked for."""
        if request.stack in environments():
            self._environment = load_environment(request.stack)
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Analyze(self, request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """One resource, before it is made."""
        graph = Graph([_resource(request)], self._environment)
        found = judge(graph, [policy for policy in ALL if not policy.whole])
        return analyzer_pb2.AnalyzeResponse(diagnostics=[_diagnostic(one) for one in found])

    def AnalyzeStack(self, request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """All resources, at the end."""
        graph = Graph([_resource(one) for one in request.resources], self._environment)
        found = judge(graph, [policy for policy in ALL if policy.whole])
        return analyzer_pb2.AnalyzeResponse(diagnostics=[_diagnostic(one) for one in found])

    def Remediate(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """Nothing is mended silently."""
        return analyzer_pb2.RemediateResponse()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - as above
        """Nothing takes long."""
        return Empty()


def _resource(request: Any) -> Resource:
    """The engine's resource; a single one comes without what it refers to."""
    dependencies = getattr(request, "propertyDependencies", {})
    return Resource(
        urn=request.urn,
        type=request.type,
        name=request.name,
        properties=plain(MessageToDict(request.properties)),
        protect=request.options.protect,
        references={name: frozenset(found.urns) for name, found in dependencies.items()},
    )


def _info(policy: Policy) -> Any:
    kind = "POLICY_TYPE_STACK" if policy.whole else "POLICY_TYPE_RESOURCE"
    return analyzer_pb2.PolicyInfo(
        name=policy.name,
        displayName=policy.name,
        description=policy.promise,
        enforcementLevel=analyzer_pb2.MANDATORY,
        policy_type=analyzer_pb2.PolicyType.Value(kind),
    )


def _diagnostic(found: Finding) -> Any:
    what, remedy = found.fault
    return analyzer_pb2.AnalyzeDiagnostic(
        policyName=found.policy.name,
        policyPackName=PACK,
        policyPackVersion=VERSION,
        description=found.policy.promise,
        message=f"{what}; {remedy}",
        enforcementLevel=analyzer_pb2.MANDATORY,
        urn=found.resource.urn,
    )


def main() -> None:
    """Serves until the engine stops it; the first line of output is the port."""
    server = grpc.server(ThreadPoolExecutor(), options=_UNLIMITED)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Event().wait()
