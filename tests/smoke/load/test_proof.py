"""What the engine measures is what servers of known behaviour did.

Each figure is held to two others: to the server's own log, and to what its behaviour says. On a
busy machine all three differ by how late the timers of both are, which both know: so much more
is allowed. On an idle one that is some tenths of a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from smoke.load.arrivals import constant
from smoke.load.clock import new_loop
from smoke.load.engine import Result, Scenario, Users, run, send
from smoke.load.http import HttpTarget
from smoke.load.latency import Latencies
from tests.smoke.load.server import Behaviour, Known, serving

RESOLUTION_S = 0.001
NEAR = 0.02
KEPT_UP_S = 0.05
ATTEMPTS = 3
PERCENTILES = (50, 75, 90, 95, 99)


@dataclass(frozen=True)
class Measured:
    """A load and the server that got it."""

    schedule: list[float]
    result: Result
    server: Known
    zero: float

    def latencies(self, name: str) -> Latencies:
        """What the engine measured."""
        return Latencies.decoded(self.result.record.histograms[name])

    def noise_s(self, percent: float) -> float:
        """How late the generator's timers were, which is how late its reads are."""
        return self.latencies("lag").percentile(above(percent))

    def noise_of_both_s(self, percent: float) -> float:
        """The same of its timers and reads, and of the server's timers."""
        return 2 * self.noise_s(percent) + self.server.late.percentile(above(percent))

    def assert_on_its_own_clock(self) -> None:
        """The generator waited for no answer, whatever else kept it from being punctual."""
        assert self.latencies("lag").percentile(75) < KEPT_UP_S

    def logged(self) -> Latencies:
        """Responses from when they were due, by the server's log."""
        log = self.server.log
        return Latencies(
            log[number].answered - self.zero - due for number, due in enumerate(self.schedule)
        )


def target(port: int, numbers: int) -> HttpTarget:
    bodies = [str(number).encode() for number in range(numbers)]
    return HttpTarget(f"http://127.0.0.1:{port}/", method="POST", bodies=bodies)


def measure(behaviour: Behaviour, schedule: list[float]) -> Measured:
    """Send the schedule to a server that behaves so."""

    async def scenario() -> tuple[Result, float]:
        numbers = target(server.port, len(schedule))
        await numbers.open()
        zero = asyncio.get_running_loop().time()
        wanted = Scenario("numbers", "test", schedule, lambda: numbers)
        try:
            return await send(wanted, numbers, start=(zero, time.time())), zero
        finally:
            await numbers.close()

    with serving(behaviour) as server, asyncio.Runner(loop_factory=new_loop) as runner:
        result, zero = runner.run(scenario())
    return Measured(schedule, result, server, zero)


def attempted(check: Callable[[], None]) -> None:
    """Check up to so many times: a busy machine disturbs one, a wrong engine fails each."""
    for attempt in range(ATTEMPTS):
        try:
            check()
        except AssertionError:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def above(percent: float) -> float:
    """Whose disturbance may move a percentile: a median's is small, a tail's the largest."""
    return 75 if percent <= 50 else 100


def assert_near(
    measured: Latencies, expected: Latencies, noise_s: Callable[[float], float]
) -> None:
    found = {percent: measured.percentile(percent) for percent in PERCENTILES}
    assert found == {
        percent: pytest.approx(value, abs=max(RESOLUTION_S, NEAR * value) + noise_s(percent))
        for percent in PERCENTILES
        for value in [expected.percentile(percent)]
    }


def test_a_fixed_delay_is_measured_from_when_requests_were_due_and_sent() -> None:
    attempted(check_fixed_delay)


def check_fixed_delay() -> None:
    measured = measure(Behaviour(delay_s=0.02), constant(6000, 150))
    assert measured.result.tally.outcomes == {"complete": 150}
    measured.assert_on_its_own_clock()
    assert_near(measured.latencies("response"), measured.logged(), measured.noise_s)
    fixed = Latencies([0.02])
    assert_near(measured.latencies("response"), fixed, measured.noise_of_both_s)
    assert_near(measured.latencies("service"), fixed, measured.noise_of_both_s)


def test_a_stall_is_in_the_tail_of_the_open_model_and_not_in_the_closed_one() -> None:
    attempted(check_stall)


def check_stall() -> None:
    behaviour = Behaviour(delay_s=0.005, stall_s=0.6, every_s=3)
    schedule = constant(6000, 600)
    opened = measure(behaviour, schedule)
    opened.assert_on_its_own_clock()
    expected = Latencies(behaviour.answer_at(due) - due for due in schedule)
    response = opened.latencies("response")
    assert_near(response, opened.logged(), opened.noise_s)
    assert_near(response, expected, opened.noise_of_both_s)
    # A fifth of the time is stalled: the 95th percentile waits for three quarters of a stall.
    assert response.percentile(95) > 0.4

    closed = closed_model(behaviour)
    assert set(closed.record.histograms) == {"service"}
    service = Latencies.decoded(closed.record.histograms["service"])
    assert service.longest > 0.5
    assert service.percentile(95) < 0.1


def closed_model(behaviour: Behaviour) -> Result:
    async def scenario(port: int) -> Result:
        users = Users(count=1, seconds=3)
        return await run(Scenario("numbers", "1 user", users, partial(target, port, 1)))

    with serving(behaviour) as server, asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(scenario(server.port))


def test_who_waits_for_a_server_that_starts_slowly_has_waited_from_when_it_was_due() -> None:
    attempted(check_slow_start)


def check_slow_start() -> None:
    schedule = constant(6000, 150)
    measured = measure(Behaviour(delay_s=0.005, closed_s=1.2), schedule)
    record = measured.result.record
    assert measured.result.tally.outcomes == {"complete": 150}
    measured.assert_on_its_own_clock()
    assert_near(measured.latencies("response"), measured.logged(), measured.noise_s)
    assert (record.timeline[0].due, record.timeline[0].complete) == (100, 0)
    opened = min(entry.got for entry in measured.server.log.values()) - measured.zero
    waited = Latencies(max(opened - due, 0) + 0.005 for due in schedule)
    accepting_s = 0.05

    def noise_s(percent: float) -> float:
        return measured.noise_of_both_s(percent) + accepting_s

    assert_near(measured.latencies("response"), waited, noise_s)
