"""What goes wrong: set by `PUT /stand-in/faults`, or in a request's own text.

    rate        429 with the delay after which to ask again
    error       500
    away        503
    slow        the answer comes late
    hang        no answer within any patience
    html        a proxy's page with status 502, which is not JSON
    malformed   an answer whose text is cut off in the middle of its JSON
    wrong       an answer whose JSON is not what the schema says
    empty       an answer without a candidate
    safety      a candidate that is blocked
    blocked     a prompt that is blocked
    cut         the answer ends at the limit of its tokens

A report whose text has `[[fault:KIND]]` in it meets that fault whenever it is asked about: so a
poisonous report can be sent through a whole pipeline.
"""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import count
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_MARK = re.compile(r"\[\[fault:(\w+)\]\]")
_GOLDEN = 0.618033988749895


class Kind(StrEnum):
    """See the module."""

    RATE = "rate"
    ERROR = "error"
    AWAY = "away"
    SLOW = "slow"
    HANG = "hang"
    HTML = "html"
    MALFORMED = "malformed"
    WRONG = "wrong"
    EMPTY = "empty"
    SAFETY = "safety"
    BLOCKED = "blocked"
    CUT = "cut"


class Fault(BaseModel):
    """One thing that goes wrong.

    Attributes:
        times: how often; None for always.
        share: of the requests, spread evenly.
        seconds: until a late answer, or as the delay that a 429 names.
        containing: only for requests with this in their text.
        method: only of this, such as `generateContent`; empty for all.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    times: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    seconds: Annotated[float, Field(ge=0)] = 1.0
    containing: str = ""
    method: str = ""


class Faults:
    """The faults in force; the first one that is met is had."""

    def __init__(self) -> None:
        self.told: list[Fault] = []
        self._left: list[int | None] = []
        self._turn = count()

    def tell(self, faults: list[Fault]) -> None:
        """Have these from now on, and no others."""
        self.told = faults
        self._left = [fault.times for fault in faults]
        self._turn = count()

    def met(self, method: str, text: str) -> Fault | None:
        """The fault that a request meets; it is counted."""
        if (match := _MARK.search(text)) and match[1] in set(Kind):
            return Fault(kind=Kind(match[1]))
        for index, fault in enumerate(self.told):
            if fault.containing not in text or fault.method not in {"", method}:
                continue
            left = self._left[index]
            if left == 0 or (fault.share < 1 and next(self._turn) * _GOLDEN % 1 >= fault.share):
                continue
            if left is not None:
                self._left[index] = left - 1
            return fault
        return None
