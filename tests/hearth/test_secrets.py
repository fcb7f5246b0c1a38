"""Secrets are made once, kept, and renewed only where they no longer serve."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hearth import secrets
from hearth.secrets import AUTHORITY, CERTIFICATE, PRIVATE_KEY, missing_settings
from inventory.loading import load

SITE = load("homelab")
GATEWAY = IPv4Address("192.168.1.147")
PASSWORDS = tuple(SITE.accounts())
TLS = {CERTIFICATE, PRIVATE_KEY, AUTHORITY}


def generated(present: dict[str, str | None] | None = None) -> dict[str, str]:
    return {s.key: s.value for s in missing_settings(present or {}, SITE)}


def stored(settings: dict[str, str]) -> dict[str, str | None]:
    """As the stack's configuration shows them: secrets without their value."""
    secret = {*PASSWORDS, PRIVATE_KEY}
    return {key: None if key in secret else value for key, value in settings.items()}


def certificate(settings: dict[str, str], key: str = CERTIFICATE) -> x509.Certificate:
    return x509.load_pem_x509_certificate(settings[key].encode())


def test_a_new_stack_gets_everything() -> None:
    assert generated().keys() == {*PASSWORDS, *TLS}


def test_what_is_there_is_kept() -> None:
    assert generated(stored(generated())) == {}


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_missing_password_is_made_alone(password: str) -> None:
    present = stored(generated())
    del present[password]
    assert generated(present).keys() == {password}


def test_passwords_are_long_and_never_the_same() -> None:
    made = [generated()[password] for _ in range(3) for password in PASSWORDS]
    assert len(set(made)) == len(made)
    assert all(len(password) >= 32 for password in made)
    for kind in ("[a-z]", "[A-Z]", "[0-9]", "[-_]"):
        assert all(re.search(kind, password) for password in made)


@pytest.mark.parametrize("lost", [CERTIFICATE, PRIVATE_KEY])
def test_a_certificate_without_its_key_is_made_anew_with_one(lost: str) -> None:
    present = stored(generated())
    del present[lost]
    assert generated(present).keys() == TLS


def test_a_gateway_that_moved_gets_a_new_certificate_and_keeps_its_passwords() -> None:
    host = SITE.hosts[SITE.gateway].model_copy(update={"address": IPv4Address("192.168.1.9")})
    site = SITE.model_copy(update={"hosts": {**SITE.hosts, SITE.gateway: host}})
    moved = missing_settings(stored(generated()), site)
    assert {s.key for s in moved} == TLS


@pytest.mark.parametrize(("days_left", "renewed"), [(29, TLS), (31, set())])
def test_a_certificate_is_renewed_in_its_last_thirty_days(
    days_left: int, renewed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_LIFETIME", timedelta(days=days_left))
    present = stored(generated())
    assert generated(present).keys() == renewed


def test_passwords_and_the_private_key_are_secret_and_certificates_are_not() -> None:
    marked = {s.key: s.secret for s in missing_settings({}, SITE)}
    assert marked == {
        **dict.fromkeys(PASSWORDS, True),
        "tlsCertificate": False,
        "tlsPrivateKey": True,
        "tlsAuthority": False,
    }


def test_the_certificate_names_the_gateway_and_this_machines_forwarded_ports() -> None:
    names = (
        certificate(generated())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.IPAddress) == [GATEWAY, IPv4Address("127.0.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_the_certificate_is_the_authoritys_and_the_key_its_own() -> None:
    settings = generated()
    certificate(settings).verify_directly_issued_by(certificate(settings, AUTHORITY))
    key = serialization.load_pem_private_key(settings[PRIVATE_KEY].encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate(settings).public_key()


def test_the_certificate_can_sign_no_other() -> None:
    constraints = certificate(generated()).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca is False


def test_the_certificate_is_good_now_and_no_longer_than_browsers_bear() -> None:
    made = certificate(generated())
    assert made.not_valid_before_utc < datetime.now(UTC)
    assert made.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=825)


def test_the_certificate_names_the_domain_of_the_citizens() -> None:
    site = load("fixai")
    settings = {setting.key: setting.value for setting in missing_settings({}, site)}
    certificate = x509.load_pem_x509_certificate(settings[CERTIFICATE].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "fixai.lab" in names.get_values_for_type(x509.DNSName)
    assert site.fixai
    moved = site.fixai.model_copy(update={"domain": "city.example"})
    renewed = missing_settings(settings, site.model_copy(update={"fixai": moved}))
    assert CERTIFICATE in {setting.key for setting in renewed}
