"""Both engines' files, read back, state the site's routes: neither more, nor less, nor other."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from components.homelab.routing import (
    haproxy_config,
    key_map,
    kong_config,
    limits_lua,
    nginx_config,
)
from inventory.loading import load
from inventory.model import Route, Site
from inventory.services import KINDS
from tests import generate

KONG_SCHEMA = json.loads((Path(__file__).parent / "kong-3.0.schema.json").read_text())
VALID = Draft202012Validator(KONG_SCHEMA)
Kong = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a route promises, whichever engine keeps it; times in seconds."""

    path: str
    target: str
    weights: dict[str, int]
    requests: int
    window: int
    health_path: str
    health_interval: float
    health_timeout: float
    healthy_after: int
    unhealthy_after: int
    response_timeout: float
    connect_timeout: float = 1.0
    retries: int = 2


def stated(site: Site, route: Route) -> Facts:
    """The site's own word."""
    return Facts(
        path=route.path,
        target=route.upstream_path,
        weights={site.placement(u.service).address: u.weight for u in route.upstreams},
        requests=route.rate_limit.requests,
        window=route.rate_limit.window_seconds,
        health_path=route.health.path,
        health_interval=route.health.interval.total_seconds(),
        health_timeout=route.health.timeout.total_seconds(),
        healthy_after=route.health.healthy_after,
        unhealthy_after=route.health.unhealthy_after,
        response_timeout=route.response_timeout.total_seconds(),
    )


def sections(text: str) -> dict[str, list[list[str]]]:
    """HAProxy's sections, such as `backend chat`, with their lines in words."""
    found: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and not line.startswith(" "):
            lines = found.setdefault(" ".join(words), [])
        elif words:
            lines.append(words)
    return found


def after(lines: list[list[str]], *start: str) -> list[list[str]]:
    """What follows these words, in every line that starts with them."""
    return [line[len(start) :] for line in lines if line[: len(start)] == list(start)]


def one(lines: list[list[str]], *start: str) -> list[str]:
    """The same where there is one such line."""
    (words,) = after(lines, *start)
    return words


def pairs(words: list[str]) -> dict[str, str]:
    """`inter 2s rise 2` as a mapping."""
    return dict(zip(words[::2], words[1::2], strict=True))


def seconds(text: str) -> float:
    """A time as HAProxy writes it; milliseconds without a unit."""
    match = re.fullmatch(r"(\d+)(ms|s|m)?", text)
    assert match, text
    return int(match[1]) * {"ms": 0.001, None: 0.001, "s": 1, "m": 60}[match[2]]


def haproxy_facts(text: str) -> dict[str, Facts]:
    """The routes of HAProxy's file, by name."""
    file = sections(text)
    frontend = file["frontend gateway"]
    facts = {}
    for name, *condition in after(frontend, "use_backend"):
        acl = condition[-1]
        backend = file[f"backend {name}"]
        exact, below = after(frontend, "acl", acl)
        assert below == ["path_beg", exact[1] + "/"]
        requests, window, *limited = one(frontend, "http-request", "lua.limit", name)
        assert limited == ["if", acl]
        health = pairs(one(backend, "default-server", "check"))
        facts[name] = Facts(
            path=exact[1],
            target=(after(backend, "http-request", "set-path") or [[exact[1]]])[0][0],
            weights={words[1]: int(words[3]) for words in after(backend, "server")},
            requests=int(requests),
            window=int(window),
            health_path=pairs(one(backend, "http-check", "send"))["uri"],
            health_interval=seconds(health["inter"]),
            health_timeout=seconds(one(backend, "timeout", "check")[0]),
            healthy_after=int(health["rise"]),
            unhealthy_after=int(health["fall"]),
            response_timeout=seconds(one(backend, "timeout", "server")[0]),
            connect_timeout=seconds(one(file["defaults"], "timeout", "connect")[0]),
            retries=int(one(file["defaults"], "retries")[0]),
        )
    return facts


def kong_facts(text: str) -> dict[str, Facts]:
    """The routes of Kong's file, by name."""
    file: Kong = yaml.safe_load(text)
    upstreams = {upstream["name"]: upstream for upstream in file["upstreams"]}
    facts = {}
    for service in file["services"]:
        (route,) = service["routes"]
        ((pattern,),) = [route["paths"]]
        # A regular expression of Kong's, which takes the path and whatever lies below it.
        assert pattern.startswith("~"), pattern
        assert pattern.endswith("(?:/.*)?$"), pattern
        path = pattern.removeprefix("~").removesuffix("(?:/.*)?$")
        upstream = upstreams[service["host"]]
        active = upstream["healthchecks"]["active"]
        limits = plugin(service, "rate-limiting")
        ((window, requests),) = [
            (length, limits[name])
            for name, length in (("second", 1), ("minute", 60), ("hour", 3600))
            if name in limits
        ]
        facts[route["name"]] = Facts(
            path=path,
            target=service["path"] if route["strip_path"] else path,
            weights={target["target"]: target["weight"] for target in upstream["targets"]},
            requests=requests,
            window=window,
            health_path=active["http_path"],
            health_interval=active["healthy"]["interval"],
            health_timeout=active["timeout"],
            healthy_after=active["healthy"]["successes"],
            unhealthy_after=active["unhealthy"]["http_failures"],
            response_timeout=service["read_timeout"] / 1000,
            connect_timeout=service["connect_timeout"] / 1000,
            retries=service["retries"],
        )
    return facts


def plugin(service: Kong, name: str) -> dict[str, Any]:
    """The configuration of a service's plugin."""
    (config,) = [p["config"] for p in service["plugins"] if p["name"] == name]
    assert isinstance(config, dict)
    return config


def kong(site: Site) -> str:
    return kong_config(site, "the-password", {c: f"the-key-of-{c}" for c in site.api_clients})


ENGINES: dict[str, tuple[Callable[[Site], str], Callable[[str], dict[str, Facts]]]] = {
    "haproxy": (haproxy_config, haproxy_facts),
    "kong": (kong, kong_facts),
}


def with_engine(site: Site, kind: str) -> Site:
    """The site with another engine on its gateway."""
    gateway = site.hosts[site.gateway]
    engine = gateway.services["engine"].model_copy(update={"kind": kind})
    host = gateway.model_copy(update={"services": gateway.services | {"engine": engine}})
    return site.model_copy(update={"hosts": site.hosts | {site.gateway: host}})


def generated() -> Site:
    document = generate.site(generate.machines(12))
    return Site.model_validate(document)


@pytest.fixture(params=["homelab", "generated"])
def site(request: pytest.FixtureRequest) -> Site:
    return load("homelab") if request.param == "homelab" else generated()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engines_file_states_the_sites_routes(engine: str, site: Site) -> None:
    write, read = ENGINES[engine]
    expected = {name: stated(site, route) for name, route in site.served_routes.items()}
    assert read(write(with_engine(site, engine))) == expected


def test_both_engines_state_the_same(site: Site) -> None:
    haproxy, kong = (
        read(write(with_engine(site, engine))) for engine, (write, read) in ENGINES.items()
    )
    assert haproxy == kong


@pytest.mark.parametrize("engine", ENGINES)
def test_the_labs_figures_reach_the_engine(engine: str) -> None:
    write, read = ENGINES[engine]
    routes = read(write(with_engine(load("homelab"), engine)))
    assert routes["chat"].weights == {"192.168.1.154:8200": 80, "192.168.1.157:8200": 20}
    assert routes["chat"].path == routes["chat"].target == "/api/v1/chat"
    assert {name: (r.requests, r.window) for name, r in routes.items()} == {
        "chat": (5, 1),
        "code": (3, 1),
        "image": (1, 1),
    }
    assert (routes["chat"].response_timeout, routes["code"].response_timeout) == (120, 300)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_route_to_a_planned_service_is_left_out(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "comfyui", replace(KINDS["comfyui"], container=None))
    site = with_engine(load("homelab"), engine)
    upstream = site.routes["image"].upstreams[0].model_copy(update={"service": "orin0.comfyui"})
    route = site.routes["image"].model_copy(update={"upstreams": (upstream,)})
    assert not site.placement("orin0.comfyui").provisioned
    planned = site.model_copy(update={"routes": {**site.routes, "image": route}})
    write, read = ENGINES[engine]
    assert planned.routes.keys() - read(write(planned)).keys() == {"image"}


def test_haproxy_answers_an_unknown_path_by_404_and_nothing_else() -> None:
    file = sections(haproxy_config(load("sandbox")))
    assert one(file["frontend gateway"], "default_backend") == ["nowhere"]
    assert one(file["backend nowhere"], "http-request", "return")[:2] == ["status", "404"]


def test_both_engines_name_the_machine_that_answered() -> None:
    backend = sections(haproxy_config(load("sandbox")))["backend chat"]
    assert one(backend, "http-response", "set-header", "X-Served-By") == ["%s"]
    for service in yaml.safe_load(kong(load("homelab")))["services"]:
        assert "X-Served-By" in plugin(service, "post-function")["header_filter"][0]


def open_to_the_lab(site: Site) -> Site:
    """The site without API keys."""
    return site.model_copy(update={"api_clients": ()})


def test_kong_knows_each_client_by_its_key_and_hands_the_name_on_without_it() -> None:
    file = yaml.safe_load(kong(load("homelab")))
    assert {c["username"]: c["keyauth_credentials"] for c in file["consumers"]} == {
        name: [{"key": f"the-key-of-{name}"}] for name in ("phone", "laptop", "smoke")
    }
    for service in file["services"]:
        keys = plugin(service, "key-auth")
        assert (keys["key_names"], keys["hide_credentials"]) == (["apikey"], True)
        assert (keys["key_in_query"], keys["key_in_body"]) == (False, False)
        assert "get_consumer" in plugin(service, "post-function")["header_filter"][1]


def test_kong_asks_for_no_key_where_the_site_has_no_clients() -> None:
    text = kong(open_to_the_lab(load("homelab")))
    assert "consumer" not in text
    assert "key-auth" not in text


@pytest.mark.parametrize(("change", "by"), [(Site.model_copy, "consumer"), (open_to_the_lab, "ip")])
def test_kong_counts_in_the_gateways_redis_by_client_or_by_address(
    change: Callable[[Site], Site], by: str
) -> None:
    for service in yaml.safe_load(kong(change(load("homelab"))))["services"]:
        limits = plugin(service, "rate-limiting")
        assert (limits["policy"], limits["limit_by"]) == ("redis", by)
        assert limits["redis"]["host"] == "redis"
        assert limits["redis"]["port"] == 6379
        assert limits["redis"]["password"] == "the-password"  # noqa: S105 - made up here


def test_kong_leaves_no_health_threshold_at_zero_which_is_off(site: Site) -> None:
    for upstream in yaml.safe_load(kong(with_engine(site, "kong")))["upstreams"]:
        active = upstream["healthchecks"]["active"]
        figures = [
            *(active["healthy"][key] for key in ("interval", "successes")),
            *(
                active["unhealthy"][key]
                for key in ("interval", "http_failures", "tcp_failures", "timeouts")
            ),
        ]
        assert all(figure > 0 for figure in figures)


def test_kong_tells_prometheus_what_the_dashboards_show() -> None:
    (config,) = [
        plugin["config"]
        for plugin in yaml.safe_load(kong(load("homelab")))["plugins"]
        if plugin["name"] == "prometheus"
    ]
    shown = ("status_code_metrics", "latency_metrics", "upstream_health_metrics")
    assert [config[family] for family in shown] == [True] * 3


def test_kong_passes_tokens_on_as_they_come() -> None:
    for service in yaml.safe_load(kong(load("homelab")))["services"]:
        assert service["routes"][0]["response_buffering"] is False


@pytest.mark.parametrize("change", [Site.model_copy, open_to_the_lab])
def test_kongs_file_keeps_to_kongs_documented_fields(
    site: Site, change: Callable[[Site], Site]
) -> None:
    document = yaml.safe_load(kong(change(with_engine(site, "kong"))))
    assert [error.message for error in VALID.iter_errors(document)] == []


def broken() -> Iterator[Any]:
    """Kong files with one mistake each that Kong would refuse."""

    def case(name: str, change: Callable[[Kong], object]) -> Any:
        document = deepcopy(yaml.safe_load(kong(load("homelab"))))
        change(document)
        return pytest.param(document, id=name)

    def limits(document: Kong) -> dict[str, Any]:
        return plugin(document["services"][0], "rate-limiting")

    yield case("another format", lambda d: d.update(_format_version="1.1"))
    yield case("an unknown entity", lambda d: d.update(gateways=[]))
    yield case("a service without a host", lambda d: d["services"][0].pop("host"))
    yield case("a misspelt timeout", lambda d: d["services"][0].update(readtimeout=1))
    yield case("a timeout of zero", lambda d: d["services"][0].update(read_timeout=0))
    yield case("a path without its slash", lambda d: d["services"][0].update(path="api"))
    yield case("a target without an address", lambda d: d["upstreams"][0]["targets"][0].clear())
    yield case(
        "a weight in words", lambda d: d["upstreams"][0]["targets"][0].update(weight="heavy")
    )
    yield case(
        "a threshold that Kong cannot hold",
        lambda d: d["upstreams"][0]["healthchecks"]["active"]["healthy"].update(successes=256),
    )
    yield case("a plugin that is not known", lambda d: d["plugins"][0].update(name="request-id"))
    yield case("a client without a name", lambda d: d["consumers"][0].pop("username"))
    yield case(
        "a key without its text", lambda d: d["consumers"][0].update(keyauth_credentials=[{}])
    )
    yield case(
        "a misspelt place of a key",
        lambda d: plugin(d["services"][0], "key-auth").update(key_in_headers=True),
    )
    yield case("limits counted in a database", lambda d: limits(d).update(policy="cluster"))
    yield case("limits without a window", lambda d: limits(d).pop("second"))
    yield case("limits in a Redis that is nowhere", lambda d: limits(d).pop("redis"))
    yield case("a Redis of the old, flat form", lambda d: limits(d).update(redis_host="redis"))


@pytest.mark.parametrize("document", broken())
def test_the_schema_refuses_what_kong_would(document: Kong) -> None:
    assert not VALID.is_valid(document)


def test_the_schema_is_closed_and_sound() -> None:
    Draft202012Validator.check_schema(KONG_SCHEMA)
    objects = [d for d in KONG_SCHEMA["$defs"].values() if "properties" in d]
    assert all(d["additionalProperties"] is False for d in [KONG_SCHEMA, *objects])


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy on PATH to ask")
def test_haproxy_itself_accepts_its_file(site: Site, tmp_path: Path) -> None:
    site = with_engine(site, "haproxy")
    text = {
        "haproxy.cfg": haproxy_config(site),
        "limits.lua": limits_lua(site),
        "keys.map": key_map({"phone": "the-key"}),
        "redis-password": "the-password",
    }
    for name, content in text.items():
        (tmp_path / name).write_text(content.replace("/settings/", f"{tmp_path}/"))
    file = tmp_path / "haproxy.cfg"
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nginx_waits_as_long_as_the_slowest_route() -> None:
    text = nginx_config(load("homelab"))
    assert "proxy_read_timeout 300s;" in text
    assert "set $engine http://engine:8000;" in text
