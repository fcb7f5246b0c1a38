"""Notices that a machine is gone while a command runs on it, as ssh's ServerAliveInterval does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gevent
from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

ASK_SECONDS = 5
PATIENCE_SECONDS = 15


def watch() -> None:
    """Ends the current host's connection when its ssh server stops answering.

    Whatever waits for it then fails at once, instead of after TCP's quarter of an hour.
    """
    host = ctx_host.get()
    client = getattr(host.connector, "client", None)
    if client is not None:
        gevent.spawn(_ask, host, client.get_transport())


def _ask(host: Host, transport: Any) -> None:
    """Asks for as long as the connection is there."""
    while transport.is_active():
        with gevent.Timeout(PATIENCE_SECONDS, exception=False) as patience:
            # Servers refuse a request that they do not know: any answer is a sign of life.
            transport.global_request("keepalive@openssh.com", wait=True)
            patience.cancel()
            gevent.sleep(ASK_SECONDS)
            continue
        logger.error(f"{host.print_prefix}Lost: no answer for {PATIENCE_SECONDS} s")
        # What carried the connection may have ended with it.
        with suppress(ProcessLookupError):
            transport.close()
