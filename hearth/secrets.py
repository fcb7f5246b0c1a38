"""The secrets of a site: generated once, kept encrypted in the stack's configuration.

They reach Pulumi through its standard input, never through a command line.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hearth.passwords import new_password
from inventory.model import Site

CERTIFICATE, PRIVATE_KEY, AUTHORITY = "tlsCertificate", "tlsPrivateKey", "tlsAuthority"
_LIFETIME = timedelta(days=825)
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the stack's configuration."""

    key: str
    value: str
    secret: bool


def missing_settings(present: Mapping[str, str | None], site: Site) -> list[Setting]:
    """What has to be generated: absent passwords, an absent or outlived certificate.

    Args:
        present: the stack's configuration; secret values may be None.
        site: whose accounts have passwords; the certificate must name its gateway, and FixAI.
    """
    settings = [
        Setting(key, new_password(), secret=True) for key in site.accounts() if key not in present
    ]
    gateway = site.hosts[site.gateway].address
    names = ["localhost", *([site.fixai.domain] if site.fixai else [])]
    certificate = present.get(CERTIFICATE)
    if PRIVATE_KEY in present and certificate and _still_good(certificate, gateway, names):
        return settings
    return settings + _certificate(gateway, names)


def _still_good(pem: str, gateway: IPv4Address, names: Sequence[str]) -> bool:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasting = certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE
    named = set(names) <= set(found.get_values_for_type(x509.DNSName))
    return lasting and named and gateway in found.get_values_for_type(x509.IPAddress)


def _certificate(gateway: IPv4Address, names: Sequence[str]) -> list[Setting]:
    """A certificate for the gateway by an authority of its own, whose key is then forgotten."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name("Hearth lab authority")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name("Hearth gateway"), authority_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.IPAddress(gateway),
                    x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
                    *map(x509.DNSName, names),
                ]
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return [
        Setting(CERTIFICATE, _pem(certificate), secret=False),
        Setting(PRIVATE_KEY, private_pem, secret=True),
        Setting(AUTHORITY, _pem(authority), secret=False),
    ]


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
