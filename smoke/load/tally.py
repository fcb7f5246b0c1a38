"""What the answers of a load come to besides its record: outcomes, goodput, a model's figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smoke.load.latency import Latencies

if TYPE_CHECKING:
    from smoke.load.sample import Outcome, Sample, Tokens

COLD_LOAD_S = 0.5
"""A model that is in memory tells a `load_duration` of some hundredths of a second."""

_MOST_FAULTS = 50
_OTHER_FAULTS = "other faults"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What makes an answer a good one, besides being complete; None where it does not matter.

    Attributes:
        response_s: From when it was due to its end; in a closed model from when it was sent.
        first_token_s: From the same time to its first token.
    """

    response_s: float | None = None
    first_token_s: float | None = None

    def met(self, sample: Sample, since: float) -> bool:
        """Whether an answer was good, counted from that time on the event loop's clock."""
        if sample.outcome != "complete":
            return False
        if self.response_s is not None and sample.ended - since > self.response_s:
            return False
        if self.first_token_s is None:
            return True
        return sample.first is not None and sample.first - since <= self.first_token_s


@dataclass(slots=True)
class Tally:
    """Sums over a load's answers; those of several processes are merged without loss.

    Attributes:
        outcomes: How many ended in which way.
        faults: What went wrong, and how often.
        good: Answers within the service level.
        reused: Answers over a connection that had served another before.
        retried: Requests sent again, as the server had closed such a connection meanwhile.
        prompt: Tokens that models read.
        generated: Tokens that models wrote.
        per_token: Seconds that a model took for each token, an entry a complete answer.
        loads: Seconds that a model took to be loaded, an entry a cold answer.
        warm_first_token: Seconds to the first token, of answers that waited for no load.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    good: int = 0
    reused: int = 0
    retried: int = 0
    prompt: int = 0
    generated: int = 0
    per_token: Latencies = field(default_factory=Latencies)
    loads: Latencies = field(default_factory=Latencies)
    warm_first_token: Latencies = field(default_factory=Latencies)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        """How many were not answered well; one that the end of the load cut off is no failure."""
        return self.requests - self.outcomes["complete"] - self.outcomes["stopped"]

    @property
    def goodput(self) -> float:
        """Which share of the requests got a good answer; 0 without any."""
        judged = self.requests - self.outcomes["stopped"]
        return self.good / judged if judged else 0.0

    @property
    def tokens_per_second(self) -> float:
        """How fast the median answer was written, as the server counts; 0 where it does not."""
        median = self.per_token.percentile(50)
        return 1 / median if median else 0.0

    def take(self, sample: Sample, since: float, level: ServiceLevel) -> None:
        """Count an answer whose waiting began at that time on the event loop's clock."""
        self.outcomes[sample.outcome] += 1
        self.good += level.met(sample, since)
        self.reused += sample.reused
        self.retried += sample.retried
        if sample.fault:
            self._note(sample.fault)
        if sample.tokens is not None:
            self._take_tokens(sample, sample.tokens, since)

    def _note(self, fault: str) -> None:
        known = fault in self.faults or len(self.faults) < _MOST_FAULTS
        self.faults[fault if known else _OTHER_FAULTS] += 1

    def _take_tokens(self, sample: Sample, tokens: Tokens, since: float) -> None:
        self.prompt += tokens.prompt
        self.generated += tokens.generated
        if tokens.generated and tokens.generating_s:
            self.per_token.add(tokens.generating_s / tokens.generated)
        if tokens.load_s >= COLD_LOAD_S:
            self.loads.add(tokens.load_s)
        elif sample.first is not None:
            self.warm_first_token.add(sample.first - since)

    def merge(self, other: Tally) -> None:
        """Count everything that the other did."""
        self.outcomes += other.outcomes
        self.faults += other.faults
        self.good += other.good
        self.reused += other.reused
        self.retried += other.retried
        self.prompt += other.prompt
        self.generated += other.generated
        self.per_token.merge(other.per_token)
        self.loads.merge(other.loads)
        self.warm_first_token.merge(other.warm_first_token)
