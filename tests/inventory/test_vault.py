"""What the settings say of the vault of backups."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.cloud.loading import load_environment
from inventory.errors import HearthError


def test_monthly_backups_outlive_the_daily_ones(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("extends: production\nstorage: {vault_monthly_days: 20}\n")
    with pytest.raises(
        HearthError, match=r"vault_monthly_days.*less than a daily backup is kept \(35\); raise it"
    ):
        load_environment(str(path))


def test_only_production_s_vault_is_locked() -> None:
    assert load_environment("production").storage.vault_lock_days == 7
    assert load_environment("dev").storage.vault_lock_days is None
