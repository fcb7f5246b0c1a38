"""What resources with policies of their own say about connections."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.production.iam import Statement


def tls_only(actions: Sequence[str], *resources: pulumi.Input[str]) -> Statement:
    """Refuses whatever comes without TLS, whoever asks.

    Args:
        actions: all of the service that may be refused: a refusal is wide on purpose.
        resources: ARNs.
    """
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
