"""Settings of environments: changed ones, and any sound ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from inventory.cloud.checks import RULES
from inventory.cloud.instances import CACHE_TYPES, DATABASE_CLASSES, INSTANCE_TYPES
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from inventory.units import GIB

PRODUCTION = load_environment("production")


def changed(environment: Environment, **parts: Mapping[str, Any]) -> Environment:
    """The environment with some settings of its parts replaced, as its file would have them."""
    data = environment.model_dump(mode="json")
    for name, values in parts.items():
        _merge(data[name], values)
    return Environment.model_validate(data)


def _merge(data: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            _merge(data[key], value)
        else:
            data[key] = value


@st.composite
def environments(draw: st.DrawFn) -> Environment:
    """Any sound environment, in the region that the prices are of."""
    base = draw(st.integers(0, 3))
    typical = base + draw(st.integers(0, 3))
    zones = draw(st.integers(2, 3))
    requests = draw(st.integers(1, 10**6))
    multi_az = draw(st.booleans())
    storage = draw(st.integers(20, 500))
    off_peak = {
        "begins": f"{draw(st.integers(0, 11)):02}:15",
        "ends": f"{draw(st.integers(12, 23)):02}:00",
        "weekends": draw(st.booleans()),
        "gpu_nodes": draw(st.integers(base, typical)),
    }
    systems = [name for name, kind in INSTANCE_TYPES.items() if kind.gpu is None]
    endpoints = draw(st.lists(st.sampled_from(["logs", "sts", "sqs"]), unique=True))
    environment = changed(
        PRODUCTION,
        network={
            "zones": zones,
            "nat": draw(st.sampled_from(["single", "per-zone"])),
            "interface_endpoints": endpoints,
            "gateway_endpoints": draw(st.sampled_from([[], ["s3"]])),
        },
        cluster={
            "extended_support": draw(st.booleans()),
            "system": {
                "instance_type": draw(st.sampled_from(systems)),
                "count": draw(st.integers(2, 9)),
            },
            "gpu": {
                "base": base,
                "typical": typical,
                "most": max(1, typical) + draw(st.integers(0, 4)),
                "base_instance_type": draw(
                    st.sampled_from(["g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g6.2xlarge"])
                ),
            },
            "off_peak": draw(st.sampled_from([None, off_peak])),
        },
        database={
            "instance_class": draw(st.sampled_from(DATABASE_CLASSES)),
            "multi_az": multi_az,
            "storage": storage * GIB,
            "most_storage": (storage + draw(st.integers(0, 500))) * GIB,
        },
        cache={
            "node_type": draw(st.sampled_from(CACHE_TYPES)),
            "replicas": draw(st.integers(1 if multi_az else 0, 5)),
        },
        edge={"failover": draw(st.booleans())},
        observability={"log_days": draw(st.sampled_from([1, 30, 365]))},
        traffic={
            "requests_per_day": requests,
            "peak_requests_per_day": requests + draw(st.integers(0, 10**6)),
            "peak_days_a_month": draw(st.integers(0, 31)),
            "peak_hour_share": draw(st.integers(5, 100)),
            "cached_share": draw(st.integers(0, 100)),
            "chats_per_minute_per_node": draw(st.sampled_from([None, 0.5, 30.0])),
        },
    )
    assert [finding for rule in RULES for finding in rule(environment)] == []
    return environment
