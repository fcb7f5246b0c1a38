"""S3: signed as AWS says.

The expected signatures are those of "Authenticating Requests: Using the Authorization Header" in
the Amazon S3 API reference, of the keys that Amazon publishes as examples.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

import aiohttp
import pytest
from pydantic import SecretStr

from services.assistant.circuit import Away
from services.assistant.objects import Bucket
from services.assistant.settings import Objects
from services.s3 import EMPTY, Keys, query_string, signed
from tests.services.fakes import FakeBucket

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
AT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


def test_a_get_is_signed_as_published() -> None:
    told = signed(
        KEYS,
        "GET",
        "/test.txt",
        headers={"Host": HOST, "Range": "bytes=0-9"},
        payload_sha256=EMPTY,
        at=AT,
    )
    assert told["Authorization"] == (
        "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_a_put_is_signed_as_published() -> None:
    told = signed(
        KEYS,
        "PUT",
        "/test%24file.text",
        headers={
            "Host": HOST,
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        payload_sha256=hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        at=AT,
    )
    assert told["Authorization"].endswith(
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_a_list_is_signed_as_published() -> None:
    told = signed(
        KEYS,
        "GET",
        "/",
        headers={"Host": HOST},
        payload_sha256=EMPTY,
        at=AT,
        query=query_string({"prefix": "J", "max-keys": "2"}),
    )
    assert told["Authorization"].endswith(
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_a_query_is_encoded_as_it_is_signed() -> None:
    assert query_string({"prefix": "a/b c", "list-type": "2"}) == "list-type=2&prefix=a%2Fb%20c"


def _bucket(session: aiohttp.ClientSession, url: str) -> Bucket:
    return Bucket(
        session,
        Objects(
            endpoint=url,
            access_key=SecretStr("key-id"),
            secret_key=SecretStr("key"),
            bucket="pictures",
        ),
    )


def test_what_is_put_can_be_had_and_nothing_else() -> None:
    async def check() -> None:
        fake = FakeBucket()
        async with fake.running(), aiohttp.ClientSession() as session:
            bucket = _bucket(session, fake.url)
            await bucket.put("images/a b.png", b"pixels", "image/png")
            assert fake.objects == {"/pictures/images/a b.png": b"pixels"}
            stored = await bucket.get("images/a b.png")
            assert stored is not None
            assert await stored.read() == b"pixels"
            assert await bucket.get("images/none.png") is None

    asyncio.run(check())


def test_a_bucket_that_refuses_us_is_away_without_a_word_of_keys() -> None:
    async def check() -> None:
        fake = FakeBucket(refuses=True)
        async with fake.running(), aiohttp.ClientSession() as session:
            bucket = _bucket(session, fake.url)
            with pytest.raises(Away, match=r"^objects is away \(status 403\)$"):
                await bucket.put("k", b"", "image/png")
            assert not bucket.circuit.up

    asyncio.run(check())
