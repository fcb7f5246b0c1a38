"""Hearth's Python language host: what the official one does for a program in this environment.

The official host is not a Go module of its own, so it cannot be built where only package
registries can be reached. This one serves what `pulumi up`, `preview`, `destroy` and `about`
ask of it. It runs the program with its own interpreter; `runtime.options` are ignored.

It is executed by path and not as a module, and it imports little: the engine waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulumi.runtime.proto import language_pb2

_EXECUTOR = Path(__file__).resolve().with_name("language_exec.py")
_EXIT_AFTER_MESSAGE = 32
_SECONDS_BETWEEN_LOOKS = 2.0
_UNLIMITED = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
]


class LanguageHost:
    """The calls of the engine's LanguageRuntime service that a Python program needs."""

    def __init__(self, engine: str, messages: types.SimpleNamespace) -> None:
        self._engine = engine
        self._messages = messages
        self._program: subprocess.Popen[bytes] | None = None

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """The calls by name; the engine takes the others as not implemented."""
        calls: dict[str, tuple[Callable[..., Any], Any]] = {
            "Handshake": (self.handshake, self._messages.LanguageHandshakeRequest),
            "GetPluginInfo": (self.plugin_info, self._messages.Empty),
            "GetRequiredPackages": (
                self.required_packages,
                self._messages.GetRequiredPackagesRequest,
            ),
            "GetRequiredPlugins": (
                self.required_plugins,
                self._messages.GetRequiredPluginsRequest,
            ),
            "GetProgramDependencies": (
                self.dependencies,
                self._messages.GetProgramDependenciesRequest,
            ),
            "RuntimeOptionsPrompts": (self.options, self._messages.RuntimeOptionsRequest),
            "About": (self.about, self._messages.AboutRequest),
            "Run": (self.run, self._messages.RunRequest),
            "Cancel": (self.cancel, self._messages.Empty),
        }
        handlers = {name: _unary(call, request) for name, (call, request) in calls.items()}
        handlers["InstallDependencies"] = grpc.unary_stream_rpc_method_handler(
            self.install,
            self._messages.InstallDependenciesRequest.FromString,
            _serialize,
        )
        handlers["RunPlugin"] = grpc.unary_stream_rpc_method_handler(
            self.run_plugin, self._messages.RunPluginRequest.FromString, _serialize
        )
        return handlers

    def handshake(self, _request: object, _context: object) -> object:
        """Nothing to agree on."""
        return self._messages.LanguageHandshakeResponse()

    def plugin_info(self, _request: object, _context: object) -> object:
        """The host's version, which is the SDK's."""
        return self._messages.PluginInfo(version=_sdk_version())

    def required_packages(self, _request: object, _context: object) -> object:
        """The providers whose SDKs are installed."""
        packages = [self._messages.PackageDependency(**found) for found in _plugins()]
        return self._messages.GetRequiredPackagesResponse(packages=packages)

    def required_plugins(self, _request: object, _context: object) -> object:
        """The same, as older engines ask for it."""
        plugins = [self._messages.PluginDependency(**found) for found in _plugins()]
        return self._messages.GetRequiredPluginsResponse(plugins=plugins)

    def dependencies(self, _request: object, _context: object) -> object:
        """The Python packages of this environment."""
        from importlib.metadata import distributions  # noqa: PLC0415 - slow, seldom asked for

        found = {package.metadata["Name"]: package.version for package in distributions()}
        infos = [
            self._messages.DependencyInfo(name=name, version=version)
            for name, version in sorted(found.items())
        ]
        return self._messages.GetProgramDependenciesResponse(dependencies=infos)

    def options(self, _request: object, _context: object) -> object:
        """No questions: the interpreter is this one."""
        return self._messages.RuntimeOptionsResponse()

    def install(self, _request: object, _context: object) -> Iterator[object]:
        """Install nothing: the program's dependencies are this environment's."""
        text = f"The program runs with {sys.executable}; its dependencies are installed there.\n"
        yield self._messages.InstallDependenciesResponse(stdout=text.encode())

    def about(self, _request: object, _context: object) -> object:
        """The interpreter."""
        return self._messages.AboutResponse(
            executable=sys.executable, version=platform.python_version()
        )

    def run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> object:
        """Run the program to its end, its output going where this host's goes."""
        variables = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        # -P keeps this folder's modules out of the program's reach.
        command = [sys.executable, "-u", "-P", str(_EXECUTOR), *self._arguments(request)]
        self._program = subprocess.Popen(command, env=os.environ | variables)
        context.add_callback(self.stop)
        return self._messages.RunResponse(**_verdict(self._program.wait()))

    def run_plugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[object]:
        """Run a plugin that is a folder with a __main__.py, a policy pack say; pass on its words.

        The engine reads the plugin's port from its first line of output.
        """
        program = Path(request.info.program_directory, request.info.entry_point or ".")
        plugin = subprocess.Popen(
            [sys.executable, "-u", str(program), *request.args],
            cwd=request.pwd or None,
            env=dict(word.split("=", 1) for word in request.env) or None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(lambda: _terminate(plugin))
        for message in _words(plugin):
            yield self._messages.RunPluginResponse(**message)
        yield self._messages.RunPluginResponse(exitcode=plugin.wait())

    def cancel(self, _request: object, _context: object) -> object:
        """Stop the program."""
        self.stop()
        return self._messages.Empty()

    def stop(self) -> None:
        """Stop the program if one runs; it is given no time to finish."""
        if self._program:
            _terminate(self._program)

    def _arguments(self, request: language_pb2.RunRequest) -> list[str]:
        named = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
            "pwd": request.pwd,
            "parallel": str(request.parallel),
            "dry_run": str(request.dryRun).lower(),
        }
        options = [word for name, value in named.items() for word in (f"--{name}", value) if value]
        program = request.info.entry_point or request.program or "."
        return [*options, "--", program, *request.args]


def main() -> None:
    """Serve until the engine goes away or asks to stop."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    engine = next((word for word in reversed(sys.argv[1:]) if not word.startswith("-")), "")
    host = LanguageHost(engine, _messages())
    server = grpc.server(ThreadPoolExecutor(), options=_UNLIMITED)
    service = grpc.method_handlers_generic_handler("pulumirpc.LanguageRuntime", host.handlers())
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    asked_to_stop = _on_signals()
    server.start()
    sys.stdout.write(f"{port}\n")
    engine_process = os.getppid()
    while not asked_to_stop.wait(_SECONDS_BETWEEN_LOOKS) and os.getppid() == engine_process:
        pass
    host.stop()
    # gRPC's own way out takes its time and may talk about it.
    os._exit(0)


def _on_signals() -> threading.Event:
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked


def _messages() -> types.SimpleNamespace:
    """The SDK's protobuf messages, without the SDK: `import pulumi` takes three times as long.

    The package and its parents are stood in for by empty ones with the same path, so that
    importing a message module does not run what their __init__.py imports.
    """
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        sys.exit(f"{sys.executable} has no Pulumi SDK; install Hearth with its extra `homelab`")
    folder = Path(spec.origin).parent
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        stand_in = types.ModuleType(name)
        stand_in.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules.setdefault(name, stand_in)
    from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # noqa: PLC0415
    from pulumi.runtime.proto import language_pb2, plugin_pb2  # noqa: PLC0415

    return types.SimpleNamespace(Empty=Empty, **vars(plugin_pb2) | vars(language_pb2))


def _terminate(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()


def _words(process: subprocess.Popen[bytes]) -> Iterator[dict[str, bytes]]:
    """What a process says on both its streams, as it says it."""
    said: queue.SimpleQueue[dict[str, bytes] | None] = queue.SimpleQueue()

    def listen(name: str) -> None:
        for line in getattr(process, name):
            said.put({name: line})
        said.put(None)

    streams = ("stdout", "stderr")
    for name in streams:
        threading.Thread(target=listen, args=(name,), daemon=True).start()
    for _ in streams:
        yield from iter(said.get, None)


def _unary(call: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(call, request.FromString, _serialize)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _sdk_version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, seldom asked for

    return version("pulumi")


def _plugins() -> Iterator[dict[str, str]]:
    """The plugins that installed SDKs name in their pulumi-plugin.json."""
    for folder in sys.path:
        for file in sorted(Path(folder).glob("pulumi_*/pulumi-plugin.json")):
            with contextlib.suppress(OSError, ValueError):
                data = json.loads(file.read_text())
                if data.get("resource"):
                    keys = ("name", "version", "server")
                    yield {"kind": "resource"} | {key: data[key] for key in keys if key in data}


def _verdict(code: int) -> dict[str, Any]:
    if code == 0:
        return {}
    if code == _EXIT_AFTER_MESSAGE:
        return {"bail": True}
    if code < 0:
        return {"error": f"Program was stopped by {signal.Signals(-code).name}"}
    return {"error": f"Program exited with non-zero exit code: {code}"}


if __name__ == "__main__":
    main()
