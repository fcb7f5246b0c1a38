"""Holds loads to a route's service level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smoke.capacity.model import SHARE
from smoke.statistics import Distribution, quantile_interval, share_interval
from smoke.wording import percent, seconds

if TYPE_CHECKING:
    from inventory.model import Route
    from smoke.capacity.steps import Load

_BEHIND = 0.1


def broken(route: Route, load: Load) -> str:
    """How a load missed the service level, or would if it went on; empty where it did not."""
    level = route.service_level
    target_s = level.first_byte_p95.total_seconds()
    total = len(load.answers)
    if load.failed > (1 - level.success) * total + 1e-9:
        if load.refused * 2 >= load.failed:
            return f"the limiter refuses {percent(load.refused / total)}"
        return f"{percent(load.failed / total)} fail"
    if load.first_token_p95_s > target_s:
        return f"95 % began within {seconds(load.first_token_p95_s)}, not {seconds(target_s)}"
    behind, server = load.falls_behind
    return f"{server} falls {percent(behind)} behind" if behind > _BEHIND else ""


def missed_for_sure(route: Route, load: Load) -> str:
    """How the service level was missed beyond doubt; empty where chance may have missed it."""
    level = route.service_level
    target_s = level.first_byte_p95.total_seconds()
    total = len(load.answers)
    if share_interval(total - load.failed, total)[1] < level.success:
        return broken(route, load)
    if load.first_token_p95_s > target_s and interval(load)[0] > target_s:
        return broken(route, load)
    return ""


def late(route: Route, load: Load) -> str:
    """Why what was measured is not the lab's; empty where it is.

    The generator may add a tenth of what it judges.
    """
    allowed_s = route.service_level.first_byte_p95.total_seconds() / 10
    if load.lag_p95_s <= allowed_s:
        return ""
    return (
        f"the generator was late: 5 % of the requests left {seconds(load.lag_p95_s)} or more after "
        f"they were due (at most {seconds(allowed_s)} is allowed); run it on an idle machine"
    )


def interval(load: Load) -> tuple[float, float]:
    """Within what the measured percentile lies."""
    waited = tuple(load.begun_s)
    return quantile_interval(Distribution(waited, (1,) * len(waited)), SHARE)
