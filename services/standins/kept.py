"""What people make in a Grafana: folders and dashboards, in one file of its data folder."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "dashboards.json"


@dataclass
class Kept:
    """The folders and dashboards, by uid.

    Args:
        path: the file; it is there after the first change.
    """

    path: Path
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            document = json.loads(self.path.read_bytes())
            self.folders, self.dashboards = document["folders"], document["dashboards"]

    def add_folder(self, title: str, uid: str, parent: str) -> dict[str, str]:
        """Make a folder."""
        made = {"uid": uid or secrets.token_hex(7), "title": title, "parentUid": parent}
        self.folders[made["uid"]] = made
        self._write()
        return made

    def save(self, dashboard: dict[str, Any], folder: str) -> dict[str, Any]:
        """Make a dashboard, or its next version."""
        uid = dashboard.get("uid") or secrets.token_hex(7)
        before = self.dashboards.get(uid, {"dashboard": {"version": 0}})["dashboard"]
        numbers = {"uid": uid, "version": before["version"] + 1}
        numbers["id"] = before.get("id") or 1000 + len(self.dashboards)
        self.dashboards[uid] = {"folderUid": folder, "dashboard": {**dashboard, **numbers}}
        self._write()
        return self.dashboards[uid]

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"folders": self.folders, "dashboards": self.dashboards}))
        new.rename(self.path)
