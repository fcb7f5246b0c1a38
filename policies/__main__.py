"""Serves the pack: the engine's language host executes this folder."""

from policies.server import main

main()
