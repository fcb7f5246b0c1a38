"""What a site keeps secret, as its components are given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from inventory.model import Placement


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords and the gateway's key; whoever hands them out marks them as secret.

    Attributes:
        passwords: by `Placement.account`.
        tls_certificate: PEM, the whole chain; public.
        tls_private_key: PEM.
        tls_authority: PEM of who signed the certificate; public.
    """

    passwords: Mapping[str, pulumi.Input[str]]
    tls_certificate: pulumi.Input[str]
    tls_private_key: pulumi.Input[str]
    tls_authority: pulumi.Input[str]

    def password(self, placement: Placement, account: str) -> pulumi.Output[str]:
        """The password of an account of a service."""
        return pulumi.Output.secret(self.passwords[placement.account(account)])
