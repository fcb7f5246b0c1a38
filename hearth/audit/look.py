"""A look at an account: what is found in it, what was promised, what could not be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from hearth.findings import findings_table
from inventory.cloud.model import Environment

if TYPE_CHECKING:
    import boto3

TAG = "Environment"
GLOBAL = "us-east-1"
"""Where CloudFront, and what belongs to it, is asked for."""
Level = Literal["error", "unjudged", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that is broken, something that should be gone, or what could not be judged.

    Attributes:
        resource: its name or id in AWS; the environment's where there is none.
        subject: what the promise is about.
    """

    resource: str
    subject: str
    level: Level
    what: str
    remedy: str


@dataclass(slots=True)
class Look:
    """An account, asked for what belongs to an environment.

    Attributes:
        session: of boto3, in the environment's region.
        environment: whose promises they are.
        promises: how many were judged.
        resources: that were found, by kind and name.
    """

    session: boto3.Session
    environment: Environment
    findings: list[Finding] = field(default_factory=list)
    promises: int = 0
    resources: set[tuple[str, str]] = field(default_factory=set)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, region: str | None = None) -> Any:
        """A client, made once."""
        key = (service, region or self.environment.region)
        if key not in self._clients:
            # boto3's stubs know the services one by one, this takes any.
            make: Any = self.session.client
            self._clients[key] = make(service, region_name=key[1])
        return self._clients[key]

    def all(
        self, service: str, operation: str, key: str, region: str | None = None, **given: Any
    ) -> list[Any]:
        """Everything that a listing operation has, of all its pages."""
        client = self.client(service, region)
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**given).get(key, []))
        pages = client.get_paginator(operation).paginate(**given)
        return [item for page in pages for item in page.get(key, [])]

    def ours(self, tags: Any) -> bool:
        """Whether tags, in any of the forms that AWS has for them, are the environment's."""
        if isinstance(tags, Mapping):
            return tags.get(TAG) == self.environment.name
        return any(
            entry.get("Key", entry.get("TagKey")) == TAG
            and entry.get("Value", entry.get("TagValue")) == self.environment.name
            for entry in tags or []
        )

    def found(self, kind: str, names: list[str]) -> None:
        """Tells what belongs to the environment; nothing at all is a broken promise."""
        self.resources |= {(kind, name) for name in names}
        name = self.environment.name
        self.expect(
            name,
            kind,
            bool(names),
            f"no {kind} has the tag {TAG}={name}",
            f"`hearth up {name}`; or look whether account and region are the right ones",
        )

    def expect(self, resource: str, subject: str, holds: object, what: str, remedy: str) -> None:
        """Judges a promise.

        Args:
            resource: that it is about.
            subject: of the promise.
            holds: whether it is kept.
            what: is the case if it is not.
            remedy: then.
        """
        self.promises += 1
        if not holds:
            self.findings.append(Finding(resource, subject, "error", what, remedy))

    @contextmanager
    def as_far_as_allowed(self, resource: str, subject: str) -> Iterator[None]:
        """What AWS does not tell is no promise kept: it is said that it could not be judged."""
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            remedy = f"{error.operation_name} answers {code}; look at it by hand"
            if code in _DENIED:
                remedy = f"allow {error.operation_name}, which ReadOnlyAccess has, and ask again"
            self._unjudged(resource, subject, remedy)
        except BotoCoreError as error:
            self._unjudged(resource, subject, f"{error}; ask again")

    def _unjudged(self, resource: str, subject: str, remedy: str) -> None:
        self.findings.append(Finding(resource, subject, "unjudged", "could not be judged", remedy))


def unless_absent(call: Any, *codes: str, **given: Any) -> dict[str, Any]:
    """The answer of an operation, empty where AWS says by one of these codes that there is none."""
    try:
        answer: dict[str, Any] = call(**given)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in codes:
            return {}
        raise
    return answer


_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "Forbidden",
        "NotAuthorized",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    }
)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a look."""

    environment: str
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 1 something is, 2 something could not be judged."""
        if self.count("error"):
            return 1
        return 2 if self.count("unjudged") else 0

    @property
    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "environment": self.environment,
            "findings": [asdict(found) for found in self.findings],
        }

    def show(self, console: Console) -> None:
        """Prints a table of findings, if there are any."""
        if self.findings:
            console.print(findings_table(self.document["findings"], "resource"))

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return sum(found.level == level for found in self.findings)
