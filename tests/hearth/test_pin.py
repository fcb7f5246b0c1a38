"""A digest is what the registry tells, by token where it wants one; faults are told together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from hearth.pin import Reference, digest, pinned
from inventory.errors import HearthError
from inventory.loading import load
from inventory.model import Site

DIGEST = "sha256:" + "ab" * 32


class Registry(BaseHTTPRequestHandler):
    """One image, `library/redis:7.4`, for who has a token; `open/nginx:1` for everybody."""

    def do_HEAD(self) -> None:
        """A manifest's digest."""
        if self.path == "/v2/open/nginx/manifests/1":
            self._answer(200, {"Docker-Content-Digest": DIGEST})
        elif self.path == "/v2/open/odd/manifests/1":
            self._answer(200, {})
        elif self.path != "/v2/library/redis/manifests/7.4":
            self._answer(404, {})
        elif self.headers["Authorization"] == "Bearer for-library/redis":
            assert "image.index" in self.headers["Accept"]
            self._answer(200, {"Docker-Content-Digest": DIGEST})
        else:
            host = self.headers["Host"]
            realm = f'realm="http://{host}/token",service="here"'
            self._answer(401, {"WWW-Authenticate": f"Bearer {realm}"})

    def do_GET(self) -> None:
        """A token for what is asked."""
        assert self.path == "/token?scope=repository%3Alibrary%2Fredis%3Apull&service=here"
        body = json.dumps({"token": "for-library/redis"}).encode()
        self._answer(200, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def registry() -> Iterator[str]:
    """Its `address:port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("docker.io/library/nginx:1.28", ("docker.io", "library/nginx", "1.28")),
        ("quay.io/a/b", ("quay.io", "a/b", "latest")),
        (f"10.0.0.1:5000/a:1@{DIGEST}", ("10.0.0.1:5000", "a", "1")),
    ],
)
def test_a_name_is_taken_apart(image: str, parts: tuple[str, str, str]) -> None:
    found = Reference.of(image)
    assert (found.registry, found.repository, found.tag) == parts


def test_a_token_is_asked_for_where_the_registry_wants_one(registry: str) -> None:
    assert digest(Reference(registry, "library/redis", "7.4")) == DIGEST
    assert digest(Reference(registry, "open/nginx", "1")) == DIGEST


def site_with(**images: str) -> Site:
    """The home lab with other images; all others are Hearth's own."""
    site = load("homelab")
    kinds = {p.kind_name for p in site.placements()}
    return site.model_copy(update={"images": dict.fromkeys(kinds, "hearth/own") | images})


def test_every_public_image_gets_its_digest(registry: str) -> None:
    told: list[str] = []
    site = site_with(redis=f"{registry}/library/redis:7.4", nginx=f"{registry}/open/nginx:1")
    assert site.unpinned == {f"{registry}/library/redis:7.4", f"{registry}/open/nginx:1"}
    found = pinned(site, told.append)
    assert found == {
        "redis": f"{registry}/library/redis:7.4@{DIGEST}",
        "nginx": f"{registry}/open/nginx:1@{DIGEST}",
    }
    assert pinned(site.model_copy(update={"images": {**site.images, **found}}), print) == found
    assert site.model_copy(update={"images": {**site.images, **found}}).unpinned == set()


def test_all_that_have_none_are_told_at_once(registry: str) -> None:
    site = site_with(redis=f"{registry}/gone:1", nginx=f"{registry}/open/odd:1")
    with pytest.raises(HearthError) as raised:
        pinned(site, lambda _: None)
    said = str(raised.value)
    assert "2 of 2 images have no digest" in said
    assert f"{registry}/gone:1: HTTP Error 404" in said
    assert f"{registry}/open/odd:1: {registry} answered without a digest" in said
