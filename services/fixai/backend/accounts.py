"""Passwords and tokens.

A password is kept as `scrypt$<cost>$<salt>$<hash>`. A token is a signed statement (JWT, HS256) of
who somebody is, good for a time; nothing is asked of the database to believe it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from services.fixai.backend.problems import Problem
from services.fixai.settings import SettingsError
from services.fixai.store import Account

_COST = 14
"""2 to this power; with 8 blocks 16 MiB and about 50 ms: a guess must cost something."""
_BLOCKS = 8
_MEMORY_BYTES = 64 * 1024**2
_SALT_BYTES = 16
_AT_ONCE = 2
_KEY_CHARACTERS = 32
_AUDIENCE = "fixai"
_ALGORITHM = "HS256"


class Passwords:
    """Hashes passwords, a few at once: each takes a processor and 16 MiB."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def hashed(self, password: str) -> str:
        """As it is kept."""
        salt = os.urandom(_SALT_BYTES)
        async with self._slots:
            digest = await asyncio.to_thread(_scrypt, password, salt, _COST)
        return f"scrypt${_COST}${_text(salt)}${_text(digest)}"

    async def match(self, password: str, account: Account | None) -> bool:
        """Whether it is the account's; it takes as long where there is none."""
        kept = account.password if account else f"scrypt${_COST}${_text(b'no account here')}$"
        _, cost, salt, digest = kept.split("$")
        async with self._slots:
            found = await asyncio.to_thread(_scrypt, password, base64.b64decode(salt), int(cost))
        return hmac.compare_digest(_text(found), digest)


@dataclass(frozen=True, slots=True)
class Citizen:
    """Who asks, by their token."""

    id: UUID
    name: str
    until: datetime


class Tokens:
    """Gives and reads tokens.

    Args:
        key: the secret that signs; whoever has it can be anybody.
        minutes: a token is good for.
    """

    def __init__(self, key: str, minutes: int) -> None:
        if len(key) < _KEY_CHARACTERS:
            raise SettingsError(
                [f"secret backend: token-key is too short; give it {_KEY_CHARACTERS} characters"]
            )
        self._key = key
        self._good = timedelta(minutes=minutes)

    def give(self, account: Account) -> tuple[str, datetime]:
        """A token and its end."""
        now = datetime.now(UTC).replace(microsecond=0)
        until = now + self._good
        claims = {
            "sub": str(account.id),
            "name": account.name,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": until,
        }
        return jwt.encode(claims, self._key, _ALGORITHM), until

    def read(self, token: str) -> Citizen:
        """Who it is.

        Raises:
            Problem: it is not ours, or its time is over.
        """
        try:
            claims = jwt.decode(
                token,
                self._key,
                [_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["sub", "exp", "aud"]},
            )
            until = datetime.fromtimestamp(claims["exp"], UTC)
            return Citizen(UUID(claims["sub"]), str(claims.get("name", "")), until)
        except jwt.ExpiredSignatureError:
            raise Problem(401, "the token's time is over; sign in again at /tokens") from None
        except (jwt.InvalidTokenError, ValueError):
            raise Problem(401, "the token is not valid; sign in at /tokens") from None


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << cost, r=_BLOCKS, p=1, maxmem=_MEMORY_BYTES
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
