"""Every alert's link leads somewhere, and the page says what the rules do."""

from __future__ import annotations

from components.homelab.monitoring.handbook import handbook
from components.homelab.monitoring.rules import alerts
from inventory.loading import load
from inventory.paths import PROJECT

SITE = load("homelab")


def test_every_alert_has_the_heading_that_its_link_names() -> None:
    headings = {
        line.removeprefix("### ").lower()
        for line in handbook(SITE).splitlines()
        if line.startswith("### ")
    }
    links = {alert.runbook for alert in alerts(SITE)}
    assert links
    for link in links:
        page, _, anchor = link.partition("#")
        assert (PROJECT / page).is_file()
        assert anchor in headings


def test_the_page_holds_no_template() -> None:
    assert "{{" not in handbook(SITE).replace("{fstype", "").replace("={", "")


def test_the_page_in_the_documentation_is_of_the_homelab_as_it_is() -> None:
    page = (PROJECT / "docs" / "reference" / "alerts.md").read_text()
    mend = "run `hearth render homelab && cp build/render/homelab/alerts.md docs/reference/`"
    assert page == handbook(SITE), mend
