"""What people made in Grafana: folders and dashboards, not those that it is provisioned with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from services.keeper import settings, snapshot
from services.keeper.http import request
from services.keeper.store import write

_LISTED = {"type": "dash-db", "limit": "1000"}
_OF_THE_INSTANCE = ("id", "version")
"""Fields of a dashboard that another Grafana numbers by itself."""
Say = Callable[[str], None]


class Api:
    """Grafana's HTTP API; its methods raise `KeeperError`."""

    def __init__(self, told: settings.Grafana, password: str) -> None:
        self._told = told
        login = base64.b64encode(f"{told.user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def ask(self, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The document that it answers with; a body is posted."""
        where = f"{path}?{urlencode(query)}" if query else path
        data = None if body is None else json.dumps(body).encode()
        with request(
            self._told.service,
            self._told.url,
            "POST" if data else "GET",
            where,
            headers=self._headers,
            body=data,
        ) as response:
            return json.loads(response.read())

    def folders(self, parent: str = "") -> Iterator[dict[str, Any]]:
        """Every folder, those within others after them."""
        for found in self.ask("/api/folders", {"parentUid": parent} if parent else None):
            yield {"uid": found["uid"], "title": found["title"], "parentUid": parent}
            yield from self.folders(found["uid"])

    def dashboards(self) -> Iterator[dict[str, Any]]:
        """Every dashboard with what is known about it."""
        page = 1
        while found := self.ask("/api/search", {**_LISTED, "page": str(page)}):
            for listed in found:
                yield self.ask(f"/api/dashboards/uid/{quote(listed['uid'], safe='')}")
            page += 1


def save(told: settings.Grafana, password: str, path: Path) -> snapshot.Grafana:
    """Write what people made to a file."""
    api = Api(told, password)
    dashboards, provisioned = [], set()
    for found in api.dashboards():
        meta = found["meta"]
        if meta.get("provisioned"):
            provisioned.add(meta.get("folderUid", ""))
            continue
        document = {k: v for k, v in found["dashboard"].items() if k not in _OF_THE_INSTANCE}
        dashboards.append({"folderUid": meta.get("folderUid", ""), "dashboard": document})
    dashboards.sort(key=lambda found: str(found["dashboard"]["uid"]))
    used = {found["folderUid"] for found in dashboards}
    folders = [f for f in api.folders() if f["uid"] in used or f["uid"] not in provisioned]
    content = {"folders": folders, "dashboards": dashboards}
    sha256, size = write(path, [json.dumps(content, indent=1, sort_keys=True).encode()])
    return snapshot.Grafana(
        service=told.service,
        bytes=size,
        sha256=sha256,
        folders=len(folders),
        dashboards=len(dashboards),
    )


def restore(told: settings.Grafana, password: str, path: Path, say: Say) -> None:
    """Put folders and dashboards back; one that is there is overwritten."""
    api, kept = Api(told, password), json.loads(path.read_bytes())
    there = list(api.folders())
    place = {"": ""}
    for folder in kept["folders"]:
        parent = place.get(folder["parentUid"], "")
        # A provisioned folder is another one in a new Grafana: it is known by its title.
        known = next((f for f in there if f["uid"] == folder["uid"]), None) or next(
            (f for f in there if (f["title"], f["parentUid"]) == (folder["title"], parent)), None
        )
        if known is None:
            body = {"uid": folder["uid"], "title": folder["title"]}
            body |= {"parentUid": parent} if parent else {}
            known = api.ask("/api/folders", body=body)
        place[folder["uid"]] = known["uid"]
    for found in kept["dashboards"]:
        body = {
            "dashboard": {**found["dashboard"], "id": None},
            "folderUid": place.get(found["folderUid"], ""),
            "overwrite": True,
            "message": "restored from a backup",
        }
        api.ask("/api/dashboards/db", body=body)
    say(f"{told.service}: {len(kept['dashboards'])} dashboards")


def differing(told: settings.Grafana, password: str, path: Path) -> list[str]:
    """The uids of the backup's dashboards that are missing, or other ones, in Grafana."""
    there = {
        found["dashboard"]["uid"]: _content(found["dashboard"])
        for found in Api(told, password).dashboards()
    }
    kept = [found["dashboard"] for found in json.loads(path.read_bytes())["dashboards"]]
    return [found["uid"] for found in kept if there.get(found["uid"]) != _content(found)]


def _content(dashboard: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dashboard.items() if key not in _OF_THE_INSTANCE}
