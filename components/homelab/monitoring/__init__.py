"""What watches a site, derived from it as text: scraping, rules, alerts, logs, dashboards.

Belongs here: pure functions from a `Site` to configuration files. Nothing is listed twice: a
metric is declared once with the kind of service that exposes it, and a rule or a panel is part of
a site exactly where the site runs what it reads.
"""
