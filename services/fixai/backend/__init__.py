"""The API for citizens: accounts, reports, comments, live updates."""
