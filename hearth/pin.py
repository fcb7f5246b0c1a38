"""Digests of a site's images, as their registries tell them today.

A tag may be moved to other contents; a digest cannot. Speaks the OCI distribution API, with the
bearer tokens that public registries give to anybody.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from inventory.errors import HearthError
from inventory.model import Site

SECONDS = 20
HOSTS = {"docker.io": "registry-1.docker.io"}
"""Where a registry answers, when that is not its name."""
# Lists of images by architecture before single ones: each board finds its own in a list.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name in parts: `docker.io/library/nginx:1.28`."""

    registry: str
    repository: str
    tag: str

    @classmethod
    def of(cls, image: str) -> Reference:
        """Parses a name that begins with its registry, as all of the catalogue do."""
        registry, _, rest = image.partition("@")[0].partition("/")
        repository, _, tag = rest.rpartition(":")
        return cls(registry, repository, tag) if repository else cls(registry, rest, "latest")

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


def pinned(site: Site, progress: Callable[[str], None]) -> dict[str, str]:
    """Every public image of a site with its digest, by kind.

    Raises:
        HearthError: with every image whose registry could not tell.
    """
    images = {p.kind_name: p.image for p in site.placements() if p.provisioned and p.pulled}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as threads:
        asked = {kind: threads.submit(digest, Reference.of(name)) for kind, name in images.items()}
    found, faults = {}, []
    for kind, answer in asked.items():
        reference = Reference.of(images[kind])
        try:
            found[kind] = f"{reference}@{answer.result()}"
            progress(str(reference))
        except (OSError, ValueError) as error:
            faults.append(f"    {reference}: {error}")
    if faults:
        raise HearthError(
            "\n".join([f"{len(faults)} of {len(images)} images have no digest:", *faults])
            + "\nlook at your way to the internet, and at the names in the site's `images`"
        )
    return found


def digest(reference: Reference) -> str:
    """What a tag stands for now.

    Raises:
        OSError: the registry does not answer, or has no such image.
        ValueError: it answers something else.
    """
    host = HOSTS.get(reference.registry, reference.registry)
    # Only a registry on this computer is asked without TLS.
    scheme = "http" if host.partition(":")[0] in {"localhost", "127.0.0.1"} else "https"
    url = f"{scheme}://{host}/v2/{reference.repository}/manifests/{reference.tag}"
    try:
        headers = _head(url, {})
    except urllib.error.HTTPError as error:
        if error.code != 401:  # noqa: PLR2004 - HTTP's "unauthorized"
            raise
        token = _token(error.headers.get("WWW-Authenticate") or "", reference)
        headers = _head(url, {"Authorization": f"Bearer {token}"})
    told = headers.get("Docker-Content-Digest", "")
    if not _DIGEST.fullmatch(told):
        raise ValueError(f"{host} answered without a digest")
    return told


def _head(url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    request = urllib.request.Request(  # noqa: S310 - the scheme is ours
        url, method="HEAD", headers={"Accept": ", ".join(_MANIFESTS), **headers}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return dict(answer.headers)


def _token(challenge: str, reference: Reference) -> str:
    """What the registry's own token service gives to anybody who wants to read."""
    told = dict(_CHALLENGE.findall(challenge))
    realm = told.pop("realm", "")
    if not realm.startswith(("https://", "http://127.0.0.1")):
        raise ValueError(f"{reference.registry} wants another log-in than a bearer token")
    query = {"scope": f"repository:{reference.repository}:pull", **told}
    asked = f"{realm}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
        document = json.load(answer)
    return str(document.get("token") or document.get("access_token") or "")
