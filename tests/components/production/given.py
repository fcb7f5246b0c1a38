"""What the components of the production stack are given in tests, and how their inputs read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.components.recorder import Recorded, Recording, opened, record
from tools.aws_echo import ACCOUNT, REGION

BOTH = ("production", "dev")
VPC = "vpc-1"
SUBNETS = ["subnet-1", "subnet-2"]
CLIENTS = ["sg-nodes", "sg-jobs"]


def key(purpose: str) -> str:
    """The ARN of a key."""
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{purpose}"


def recorded(declare: Callable[[Environment], object]) -> dict[str, Recording]:
    """What is declared of each environment, by its name."""
    found = {}
    for name in BOTH:
        environment = load_environment(name)

        def program(environment: Environment = environment) -> None:
            declare(environment)

        found[name] = record(program)
    return found


def only(recording: Recording, kind: str) -> dict[str, Any]:
    """The inputs of the one resource of a type."""
    (resource,) = recording.of_type(kind).values()
    return resource.inputs


def named(recording: Recording, kind: str, ending: str) -> Recorded:
    """The one resource of a type whose name ends so."""
    (resource,) = [r for n, r in recording.of_type(kind).items() if n.endswith(ending)]
    return resource


def policy(value: Any) -> dict[str, dict[str, Any]]:
    """The statements of a policy by their Sid."""
    document = json.loads(opened(value))
    return {statement.get("Sid", ""): statement for statement in document["Statement"]}


def rules_of(recording: Recording, kind: str) -> list[dict[str, Any]]:
    """The inputs of all security group rules of a kind."""
    return [rule.inputs for rule in recording.of_type(kind).values()]
