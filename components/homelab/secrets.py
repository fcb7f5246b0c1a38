"""What a site keeps secret, as its components are given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from inventory.model import Placement, Site


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords, API keys and the gateway's key; whoever hands them out marks them as secret.

    Attributes:
        passwords: by `Placement.account` and, API keys, by `Site.api_key`.
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

    def api_keys(self, site: Site) -> pulumi.Output[dict[str, str]]:
        """The API keys of a site's clients, by client."""
        keys = {name: self.passwords[site.api_key(name)] for name in site.api_clients}
        return pulumi.Output.secret(pulumi.Output.all(**keys))
