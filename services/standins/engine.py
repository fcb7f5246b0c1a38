"""What the simulated SonarQube has its scanner run in place of the engine: it sends the sources.

Told and obeyed as the real one is: properties as JSON on standard input, the report to the server,
the task's id in a file. The scanner runs it alone, so it imports nothing but Python's own.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

BOUNDARY = "simulated-report"


def main() -> int:
    """Analyse what the properties name; the exit code."""
    told = {each["key"]: each["value"] for each in json.load(sys.stdin)["scannerProperties"]}
    base = Path(told.get("sonar.projectBaseDir", "."))
    url, project = told["sonar.host.url"].rstrip("/"), told["sonar.projectKey"]
    asked = Request(  # noqa: S310 - the server that this came from
        f"{url}/api/ce/submit?{urlencode({'projectKey': project})}",
        form(report(base)),
        {
            "Authorization": f"Bearer {told['sonar.token']}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        },
    )
    with urlopen(asked, timeout=30) as response:  # noqa: S310 - the same
        task = json.load(response)["taskId"]
    work = base / ".scannerwork"
    work.mkdir(exist_ok=True)
    Path(work, "report-task.txt").write_text(f"projectKey={project}\nceTaskId={task}\n")
    sys.stdout.write(json.dumps({"level": "INFO", "message": "simulated analysis"}) + "\n")
    return 0


def report(base: Path) -> bytes:
    """The sources, packed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(base.rglob("*")):
            name = path.relative_to(base)
            if path.is_file() and not name.parts[0].startswith("."):
                archive.write(path, str(name))
    return content.getvalue()


def form(content: bytes) -> bytes:
    """A form with one file."""
    head = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="report"; filename="report.zip"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    sys.exit(main())
