"""An environment that stands, to those who look for what is left."""

from __future__ import annotations

from hearth.audit.leftovers import KINDS, leftovers
from tests.hearth.audit.deployed import Deployed


def test_an_environment_that_stands_is_listed_with_everything_that_costs(
    account: Deployed,
) -> None:
    found = leftovers(account.session, account.environment, lambda _: None)
    kinds = {one.subject for one in found.findings if one.level == "error"}
    assert kinds >= {
        *("load balancer", "cluster", "database", "cache", "NAT gateway", "address"),
        *("firewall", "secret", "key"),
    }
    assert found.exit_code == 1


def test_it_is_listed_in_the_order_in_which_it_has_to_go(account: Deployed) -> None:
    order = [kind.name for kind in KINDS]
    listed = [
        order.index(one.subject)
        for one in leftovers(account.session, account.environment, lambda _: None).findings
    ]
    assert listed == sorted(listed)
