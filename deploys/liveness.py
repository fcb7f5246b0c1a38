"""Notices that a machine is gone while a command runs on it, as ssh's ServerAliveInterval does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

ASK_SECONDS = 5
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 15

_watchers: WeakKeyDictionary[Host, Any] = WeakKeyDictionary()


def watch() -> None:
    """Ends the current host's connection when its ssh server stops answering.

    Whatever waits for it then fails at once, instead of after TCP's quarter of an hour.
    """
    host = ctx_host.get()
    client = getattr(host.connector, "client", None)
    if client is not None:
        unwatch(host)
        _watchers[host] = gevent.spawn(_watch, host, client.get_transport())


def unwatch(host: Host) -> None:
    """Its connection is going to end, and is meant to."""
    if host in _watchers:
        _watchers.pop(host).kill()


def _watch(host: Host, transport: Any) -> None:
    """Looks and asks for as long as the connection is there."""
    while _answers(transport):
        for _ in range(int(ASK_SECONDS / LOOK_SECONDS)):
            gevent.sleep(LOOK_SECONDS)
            if not transport.is_active():
                logger.error(f"{host.print_prefix}Lost: the connection has ended")
                return
    logger.error(f"{host.print_prefix}Lost: no answer for {PATIENCE_SECONDS} s")
    # What carried the connection may have ended with it.
    with suppress(ProcessLookupError):
        transport.close()


def _answers(transport: Any) -> bool:
    """Whether the server answers a request: refusing one that it does not know is an answer."""
    with gevent.Timeout(PATIENCE_SECONDS, exception=False):
        transport.global_request("keepalive@openssh.com", wait=True)
        return True
    return False
