"""A PostgreSQL of the tests' own, as the services' tests have it."""

from __future__ import annotations

from tests.services.conftest import cluster

__all__ = ["cluster"]
