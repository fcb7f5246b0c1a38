"""Pulumi's entry: `pulumi-resource-hearth` runs this with the engine's address."""

from __future__ import annotations

import sys

from pulumi.provider.experimental.server import main

from provider.server import VERSION, HostProvider

main(sys.argv[1:], VERSION, HostProvider())
