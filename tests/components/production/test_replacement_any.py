"""Whatever the settings change to, cluster, database and cache are changed in place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from inventory.cloud.checks import RULES
from inventory.cloud.model import Environment
from policies.graph import Graph, Resource
from policies.wire import resource_of
from tests.components.production.whole import declare
from tests.components.recorder import record
from tests.settings import PRODUCTION, changed, environments
from tools.aws_immutable import IMMUTABLE, is_immutable
from tools.aws_plugin import _differences, _wrapped

KEPT = (
    "aws:eks/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:elasticache/replicationGroup:ReplicationGroup",
)
REPLACING: dict[str, dict[str, Any]] = {
    "name": {"name": "staging"},
    "cache.engine": {"cache": {"engine": "redis", "version": "7.1"}},
}
"""The settings that replace one of them, beside region and account, which are another deployment,
and `network.cidr`, of which `test_replacement` tells: another VPC."""


@st.composite
def anything(draw: st.DrawFn) -> Environment:
    """Any sound settings but for those in `REPLACING` and the network's addresses."""
    found = changed(
        draw(environments()),
        cluster={
            "version": draw(st.sampled_from(["1.36", "1.37"])),
            "public_from": draw(st.sampled_from([[], ["198.51.100.0/24"]])),
            "logs": draw(st.sampled_from([["audit"], ["api", "audit"]])),
            "log_days": draw(st.sampled_from([7, 90])),
            "administrators": {"other": {"role": draw(st.sampled_from(["A", "B"]))}},
        },
        database={
            "version": draw(st.sampled_from(["17.9", "18.1"])),
            "backup_days": draw(st.integers(1, 35)),
            "insights_days": draw(st.sampled_from([7, 31])),
        },
        cache={
            "version": draw(st.sampled_from(["7.2", "8.2"])),
            "snapshot_days": draw(st.integers(0, 35)),
        },
        storage={"vault_lock_days": draw(st.sampled_from([None, 7]))},
        images={"repositories": draw(st.sampled_from([["api"], ["api", "ollama"]]))},
        observability={"alarm_emails": draw(st.sampled_from([["a@b.co"], ["a@b.co", "c@d.co"]]))},
    ).model_copy(
        update={
            "owner": draw(st.sampled_from(["platform", "research"])),
            "protected": draw(st.booleans()),
        }
    )
    assume(not [finding for rule in RULES for finding in rule(found)])
    return found


@cache
def graph(settings_: str) -> Graph:
    """What an environment's settings, as JSON, declare."""
    environment = Environment.model_validate_json(settings_)
    made = record(lambda: declare(environment))
    return Graph([resource_of(resource) for resource in made.resources])


def graph_of(environment: Environment) -> Graph:
    return graph(environment.model_dump_json())


def replaced(before: Graph, after: Graph) -> dict[str, str]:
    """URNs of what the change makes anew, or loses, each with its reason.

    Made-up ids come from names and hide that something was made anew: who has such an id in a
    property that cannot be changed is made anew as well.
    """
    old, new = ({r.urn: r for r in side.resources} for side in (before, after))
    found = dict.fromkeys(old.keys() - new.keys(), "is gone")
    both = [resource for urn, resource in new.items() if urn in old]
    for resource in both:
        if paths := sorted(_changed(old[resource.urn], resource)):
            found[resource.urn] = f"cannot change {', '.join(paths)}"
    known = -1
    while known != len(found):
        known = len(found)
        for resource in both:
            for name, urns in resource.references.items():
                if _may_replace(resource, name) and urns & found.keys():
                    found.setdefault(resource.urn, f"{name} comes from something new")
    return found


def _kind(resource: Resource) -> str:
    return resource.type.removeprefix("aws:")


def _changed(old: Resource, new: Resource) -> Iterator[str]:
    before, after = (
        {key: _wrapped(value) for key, value in side.properties.items()} for side in (old, new)
    )
    return (path for path, _ in _differences(before, after) if is_immutable(_kind(new), path))


def _may_replace(resource: Resource, name: str) -> bool:
    """Whether a change within a property may make another resource."""
    rows = IMMUTABLE.get(_kind(resource), ())
    within = any(row.partition(".")[0] == name for row in rows)
    return within or is_immutable(_kind(resource), name)


def lost(before: Environment, after: Environment) -> dict[str, str]:
    """Of cluster, database and cache those that the change makes anew, by type."""
    graphs = graph_of(before), graph_of(after)
    found = replaced(*graphs)
    types = {resource.urn: resource.type for resource in graphs[0].resources}
    assert {t for t in types.values() if t in KEPT} == set(KEPT)
    return {types[urn]: why for urn, why in found.items() if types[urn] in KEPT}


@given(anything(), anything())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_of_settings_replaces_cluster_database_or_cache(
    before: Environment, after: Environment
) -> None:
    assert lost(before, after) == {}
    assert lost(PRODUCTION, after) == {}
    assert lost(after, before) == {}


@pytest.mark.parametrize("setting", REPLACING)
def test_the_settings_that_do_are_listed_for_a_reason(setting: str) -> None:
    data = PRODUCTION.model_dump(mode="json")
    for name, value in REPLACING[setting].items():
        data[name] = data[name] | value if isinstance(value, dict) else value
    assert lost(PRODUCTION, Environment.model_validate(data))


def test_what_stands_on_something_new_is_new_itself() -> None:
    """A key that is replaced takes what it encrypts with it."""
    before = graph_of(PRODUCTION)
    after = Graph(
        [
            r
            if (r.type, r.name) != ("aws:kms/key:Key", "keys-data")
            else Resource(r.urn, r.type, r.name, {**r.properties, "multiRegion": True})
            for r in before.resources
        ]
    )
    new = replaced(before, after)
    types = {resource.type for resource in after.resources if resource.urn in new}
    assert types & {"aws:kms/key:Key", *KEPT} == {"aws:kms/key:Key", *KEPT[1:]}
