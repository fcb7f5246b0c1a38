"""Tables admit what `networking.k8s.io/v1` says, clause by clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policies.ranges import merged, without
from services.policies.table import EVERYBODY
from tests.services.policies.documents import NODES, Document, Told, app, namespace, pod, policy
from tests.services.policies.model import may
from tests.services.policies.packets import Filter

WORLD, PRIVATE, OWN_NODE = "203.0.113.9", "10.20.0.9", "10.20.0.11"
WEB = {"name": "web", "containerPort": 8080, "protocol": "TCP"}
WEB_ELSEWHERE = {"name": "web", "containerPort": 9090}
ASKING = {"name": "asking", "containerPort": 5353, "protocol": "UDP"}

FRONT, BACK, STORE, FAR, SPY = (
    *("10.244.0.2", "10.244.0.3", "10.244.0.4"),
    *("10.244.1.2", "10.244.0.5"),
)


def shop(*policies: Document) -> Told:
    """Four pods of a shop, one of them on the other node, and a stranger's."""
    pods = [
        pod("front", FRONT, labels={"app": "front", "tier": "edge"}),
        pod("back", BACK, labels={"app": "back", "tier": "core"}, ports=[WEB, ASKING]),
        pod("store", STORE, labels={"app": "store"}, ports=[WEB_ELSEWHERE]),
        pod("far", FAR, labels={"app": "far", "tier": "edge"}, ports=[WEB]),
        pod("spy", SPY, namespace="street", labels={"app": "front"}),
    ]
    return Told(
        {each["metadata"]["name"]: each for each in pods},
        [namespace("shop", trusted="yes"), namespace("street")],
        list(policies),
    )


def admits(told: Told, source: str, target: str, protocol: str = "tcp", port: int = 80) -> bool:
    """Whether both ends' nodes let a connection pass."""
    return all(Filter(told.table(own).text).passes(source, target, protocol, port) for own in NODES)


def into_back(*rules: Document, **more: Any) -> Document:
    """A policy of who may connect to `back`."""
    return policy("back", app("back"), ingress=list(rules), **more)


def out_of_front(*rules: Document, **more: Any) -> Document:
    """A policy of whom `front` may connect to."""
    return policy("front", app("front"), egress=list(rules), policyTypes=["Egress"], **more)


def expressed(key: str, operator: str, *values: str) -> Document:
    """A selector of one condition."""
    stated = {"values": list(values)} if values else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **stated}]}


def test_pods_that_no_policy_selects_are_open() -> None:
    told = shop()
    assert admits(told, FRONT, BACK)
    assert admits(told, WORLD, BACK, "udp", 53)
    assert admits(told, BACK, WORLD, "icmp", 0)


@pytest.mark.parametrize(
    ("types", "closed_in", "closed_out"),
    [
        (["Ingress"], True, False),
        (["Egress"], False, True),
        (["Ingress", "Egress"], True, True),
        (None, True, False),
    ],
)
def test_a_policy_closes_the_ways_that_it_is_of(
    types: Sequence[str] | None, *, closed_in: bool, closed_out: bool
) -> None:
    stated: dict[str, Any] = {} if types is None else {"policyTypes": types}
    told = shop(policy("nothing", app("back"), **stated))
    assert admits(told, FRONT, BACK) is not closed_in
    assert admits(told, BACK, FRONT) is not closed_out
    assert admits(told, FRONT, STORE)  # of another pod


def test_a_policy_that_does_not_say_is_of_egress_where_it_has_rules_of_it() -> None:
    told = shop(policy("front", app("front"), egress=[{"to": [{"podSelector": app("back")}]}]))
    assert [admits(told, FRONT, BACK), admits(told, FRONT, STORE)] == [True, False]
    assert not admits(told, BACK, FRONT)  # of ingress it is always


# Who is admitted to `back` by one rule: of front, store, far, spy, the world.
@pytest.mark.parametrize(
    ("peers", "admitted"),
    [
        ([], "front store far spy world"),
        ([{"podSelector": {}}], "front store far"),
        ([{"podSelector": app("front")}], "front"),
        ([{"podSelector": expressed("tier", "In", "edge", "core")}], "front far"),
        ([{"podSelector": expressed("tier", "NotIn", "edge")}], "store"),
        ([{"podSelector": expressed("tier", "Exists")}], "front far"),
        ([{"podSelector": expressed("tier", "DoesNotExist")}], "store"),
        (
            [{"podSelector": {**app("far"), **expressed("tier", "Exists")}}],
            "far",
        ),
        ([{"namespaceSelector": {}}], "front store far spy"),
        ([{"namespaceSelector": {"matchLabels": {"trusted": "yes"}}}], "front store far"),
        (
            [{"namespaceSelector": expressed("trusted", "DoesNotExist")}],
            "spy",
        ),
        ([{"namespaceSelector": {}, "podSelector": app("front")}], "front spy"),
        (
            [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "street"}},
                    "podSelector": app("front"),
                }
            ],
            "spy",
        ),
        (
            [
                {"namespaceSelector": expressed("trusted", "DoesNotExist")},
                {"podSelector": app("store")},
            ],
            "store spy",
        ),
        ([{"podSelector": app("nobody")}], ""),
        ([{"ipBlock": {"cidr": "0.0.0.0/0"}}], "front store far spy world"),
        ([{"ipBlock": {"cidr": "203.0.113.0/24"}}], "world"),
        ([{"ipBlock": {"cidr": "203.0.113.9/32"}}], "world"),
        ([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "world"),
        (
            [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.8/31", "10.244.0.0/24"]}}],
            "far",
        ),
        ([{"ipBlock": {"cidr": "fd00::/8", "except": ["fd00:1::/64"]}}], ""),
        (
            [
                {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
                {"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.0.0/24"]}},
                {"podSelector": app("store")},
            ],
            "store far world",
        ),
    ],
)
def test_a_rule_admits_its_peers_and_nobody_else(peers: list[Document], admitted: str) -> None:
    told = shop(into_back({"from": peers} if peers else {}))
    everybody = {"front": FRONT, "store": STORE, "far": FAR, "spy": SPY, "world": WORLD}
    found = [name for name, source in everybody.items() if admits(told, source, BACK)]
    assert " ".join(found) == admitted


@pytest.mark.parametrize(
    ("ports", "admitted"),
    [
        ([], "tcp/80 tcp/8080 tcp/8085 udp/5353 udp/8080 sctp/8080 icmp/0"),
        ([{"port": 8080}], "tcp/8080"),
        ([{"protocol": "UDP", "port": 8080}], "udp/8080"),
        ([{"protocol": "SCTP", "port": 8080}], "sctp/8080"),
        ([{"port": 8080, "endPort": 8090}], "tcp/8080 tcp/8085"),
        ([{"protocol": "UDP"}], "udp/5353 udp/8080"),
        ([{"port": "web"}], "tcp/8080"),
        ([{"port": "web", "protocol": "UDP"}], ""),
        ([{"port": "asking", "protocol": "UDP"}], "udp/5353"),
        ([{"port": "unheard-of"}], ""),
        (
            [{"port": 80}, {"port": "web"}, {"protocol": "UDP", "port": 5353}],
            "tcp/80 tcp/8080 udp/5353",
        ),
    ],
)
def test_a_rule_admits_to_its_ports_and_no_others(ports: list[Document], admitted: str) -> None:
    rule = {"from": [{"podSelector": app("front")}], **({"ports": ports} if ports else {})}
    told = shop(into_back(rule))
    tried = ["tcp/80", "tcp/8080", "tcp/8085", "udp/5353", "udp/8080", "sctp/8080", "icmp/0"]
    ends = [(each, *each.split("/")) for each in tried]
    found = [each for each, by, at in ends if admits(told, FRONT, BACK, by, int(at))]
    assert " ".join(found) == admitted


def test_a_port_that_is_neither_a_number_nor_a_name_is_not_taken_for_every_port() -> None:
    told = shop(into_back({"ports": [{"port": 80.0}]}))
    with pytest.raises(ValueError, match=r"a policy's port 80\.0 is neither"):
        told.table()


def test_a_condition_that_is_not_known_is_not_taken_for_another() -> None:
    told = shop(into_back({"from": [{"podSelector": expressed("tier", "Like", "edge")}]}))
    with pytest.raises(ValueError, match="operator 'Like' is not known"):
        told.table()


def test_a_name_of_a_port_is_each_targets_own() -> None:
    told = shop(out_of_front({"ports": [{"port": "web"}]}))
    assert [admits(told, FRONT, to, "tcp", 8080) for to in (BACK, FAR, STORE)] == [
        True,
        True,
        False,
    ]
    assert [admits(told, FRONT, to, "tcp", 9090) for to in (BACK, STORE)] == [False, True]
    assert not admits(told, FRONT, WORLD, "tcp", 8080)


def test_a_name_of_a_port_means_those_of_the_rules_peers() -> None:
    told = shop(out_of_front({"to": [{"podSelector": app("store")}], "ports": [{"port": "web"}]}))
    assert [admits(told, FRONT, STORE, "tcp", port) for port in (9090, 8080)] == [True, False]
    assert not admits(told, FRONT, BACK, "tcp", 8080)


def test_a_sidecars_port_has_a_name_and_that_of_a_container_that_ends_has_none() -> None:
    told = shop(into_back({"ports": [{"port": "side"}, {"port": "once"}]}))
    side, once = ({"name": n, "containerPort": p} for n, p in (("side", 7000), ("once", 7001)))
    told.pods["back"]["spec"]["initContainers"] = [
        {"name": "side", "restartPolicy": "Always", "ports": [side]},
        {"name": "once", "ports": [once]},
    ]
    assert [admits(told, FRONT, BACK, "tcp", port) for port in (7000, 7001)] == [True, False]


def test_policies_admit_together_and_take_nothing_from_each_other() -> None:
    nothing = policy("nothing", policyTypes=["Ingress"])
    one = into_back({"from": [{"podSelector": app("front")}], "ports": [{"port": 80}]})
    other = into_back({"from": [{"podSelector": app("store")}]})
    told = shop(nothing, one, other)
    assert [admits(told, FRONT, BACK), admits(told, STORE, BACK)] == [True, True]
    assert not admits(told, FRONT, BACK, "tcp", 81)
    assert not admits(told, FAR, BACK)


def test_both_ends_have_to_admit() -> None:
    out = out_of_front({"to": [{"podSelector": app("back")}]})
    assert admits(shop(out), FRONT, BACK)
    assert not admits(shop(out, into_back({"from": [{"podSelector": app("store")}]})), FRONT, BACK)


def test_a_policy_is_of_its_namespace() -> None:
    told = shop(policy("nothing", namespace="street"))
    assert admits(told, FRONT, BACK)
    assert not admits(told, FRONT, SPY)


def test_a_pod_is_not_kept_from_itself() -> None:
    told = shop(policy("nothing", policyTypes=["Ingress", "Egress"]))
    assert admits(told, BACK, BACK)
    assert not admits(told, FRONT, BACK)


def test_egress_to_the_own_node_is_judged_and_others_ways_in_are_not() -> None:
    told = shop(out_of_front({"to": [{"ipBlock": {"cidr": f"{OWN_NODE}/32"}}]}))
    closed = shop(policy("nothing", policyTypes=["Ingress", "Egress"]))
    assert Filter(told.table().text).passes(FRONT, OWN_NODE, hook="input")
    assert not Filter(closed.table().text).passes(FRONT, OWN_NODE, hook="input")
    assert Filter(closed.table().text).passes(WORLD, OWN_NODE, hook="input")


def test_a_pod_with_its_nodes_address_is_not_subject_and_nobodys_peer() -> None:
    told = shop(into_back({"from": [{"podSelector": app("front")}]}))
    told.pods["front"]["spec"]["hostNetwork"] = True
    told.pods["front"]["status"]["podIP"] = PRIVATE
    told.pods["front"]["status"]["podIPs"] = [{"ip": PRIVATE}]
    assert not admits(told, PRIVATE, BACK)
    assert told.table().pods == 1


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pods_address_is_the_next_ones(phase: str) -> None:
    told = shop(into_back({"from": [{"podSelector": app("front")}]}))
    told.pods["front"]["status"]["phase"] = phase
    assert not admits(told, FRONT, BACK)
    told.pods["next"] = pod("next", FRONT, labels={"app": "next"})
    assert not admits(told, FRONT, BACK)
    assert admits(told, FRONT, STORE)


def test_an_address_of_the_nodes_own_that_no_pod_has_is_closed() -> None:
    told, fresh = shop(), "10.244.0.77"
    assert not admits(told, fresh, BACK)
    assert not admits(told, BACK, fresh)
    assert not Filter(told.table().text).passes(fresh, OWN_NODE, hook="input")
    told.pods["fresh"] = pod("fresh", fresh)
    assert admits(told, fresh, BACK)


def test_an_address_that_two_pods_claim_is_nobodys() -> None:
    told = shop(into_back({"from": [{"podSelector": app("front")}]}))
    assert admits(told, FRONT, BACK)
    told.pods["stale"] = pod("stale", FRONT)
    assert not admits(told, FRONT, BACK)
    assert not admits(told, FRONT, STORE)


def test_a_table_tells_whose_it_is_and_counts_what_it_refuses() -> None:
    nothing = policy("nothing", policyTypes=["Ingress", "Egress"])
    found = shop(nothing, into_back({"from": [{"podSelector": app("front")}]})).table()
    assert 'counter drop comment "from shop/front"' in found.text
    assert f'ip saddr {{ {FRONT} }} return comment "shop/back"' in found.text
    assert (found.pods, found.rules) == (3, 1)  # of this node


def test_a_table_is_the_same_in_whatever_order_the_api_tells() -> None:
    told = shop(into_back({"from": [{"namespaceSelector": {}}]}), policy("nothing"))
    again = shop(*reversed(told.policies))
    again.pods = dict(reversed(told.pods.items()))
    assert again.table() == told.table()


def test_a_very_long_name_is_cut_to_what_a_comment_may_have() -> None:
    told = shop(policy("nothing"))
    told.pods["back"]["metadata"]["name"] = "b" * 253
    lines = [line for line in told.table().text.splitlines() if "bbbb" in line]
    assert [len(line.split('"')[1]) for line in lines] == [128]


# Against a model that is written for reading.

LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
EXPRESSIONS = st.builds(
    lambda key, operator, values: {"key": key, "operator": operator, "values": values},
    st.sampled_from("ab"),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from("xy"), min_size=1, unique=True),
)
SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSIONS, max_size=1)}
)
BLOCKS = st.builds(
    lambda whole, but: {"ipBlock": {"cidr": whole, "except": but}},
    st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "10.244.0.0/23"]),
    st.lists(st.sampled_from(["10.244.0.0/24", "10.244.0.2/31", "10.244.1.2/32"]), max_size=2),
)
PEERS = st.one_of(
    BLOCKS,
    st.fixed_dictionaries({"podSelector": SELECTORS}, optional={"namespaceSelector": SELECTORS}),
    st.fixed_dictionaries({"namespaceSelector": SELECTORS}),
)
PORTS = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}),
    st.builds(
        lambda protocol, first, more: {
            "protocol": protocol,
            "port": first,
            **({"endPort": first + more} if more else {}),
        },
        st.sampled_from(["TCP", "UDP"]),
        st.sampled_from([80, 81, 82]),
        st.sampled_from([0, 1]),
    ),
    st.builds(lambda name: {"port": name}, st.sampled_from(["one", "two"])),
)


def _rules(end: str) -> st.SearchStrategy[list[Document]]:
    rule = st.fixed_dictionaries(
        {},
        optional={end: st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=2)},
    )
    return st.lists(rule, max_size=2)


POLICIES = st.builds(
    lambda within, spec: {"metadata": {"name": "some", "namespace": within}, "spec": spec},
    st.sampled_from(["n1", "n2"]),
    st.fixed_dictionaries(
        {"podSelector": SELECTORS},
        optional={
            "ingress": _rules("from"),
            "egress": _rules("to"),
            "policyTypes": st.lists(
                st.sampled_from(["Ingress", "Egress"]), min_size=1, unique=True
            ),
        },
    ),
)
NAMED = st.builds(
    lambda name, number: {"name": name, "containerPort": number},
    st.sampled_from(["one", "two"]),
    st.sampled_from([80, 81]),
)
ADDRESSES = ("10.244.0.2", "10.244.0.3", "10.244.1.2")


@st.composite
def clusters(draw: st.DrawFn) -> Told:
    """Three pods in two namespaces on two nodes, and some policies."""
    pods = {
        f"p{number}": pod(
            f"p{number}",
            address,
            namespace=draw(st.sampled_from(["n1", "n2"])),
            labels=draw(LABELS),
            ports=draw(st.lists(NAMED, max_size=2)),
        )
        for number, address in enumerate(ADDRESSES)
    }
    namespaces = [namespace(name, **draw(LABELS)) for name in ("n1", "n2")]
    return Told(pods, namespaces, draw(st.lists(POLICIES, min_size=1, max_size=3)))


@settings(max_examples=150, deadline=None)
@given(clusters())
def test_tables_admit_what_the_definition_says(told: Told) -> None:
    filters = [Filter(told.table(own).text) for own in NODES]
    for source in (*ADDRESSES, WORLD):
        for target in (*ADDRESSES, WORLD):
            if source == target:
                continue
            for protocol, port in (("tcp", 80), ("tcp", 82), ("udp", 81), ("icmp", 0)):
                found = all(one.passes(source, target, protocol, port) for one in filters)
                assert found is may(told, source, target, protocol, port)


NUMBERS = st.integers(0, 40)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map(lambda ends: (min(ends), max(ends))), max_size=5)


def _numbers(ranges: Sequence[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(RANGES, RANGES)
def test_ranges_are_sets_of_numbers(
    some: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    assert _numbers(merged(some)) == _numbers(some)
    for whole in some:
        assert _numbers(without(whole, holes)) == _numbers([whole]) - _numbers(holes)


def test_nothing_is_left_of_everybody_but_everybody() -> None:
    assert without(EVERYBODY, [EVERYBODY]) == ()
    assert without(EVERYBODY, []) == (EVERYBODY,)
