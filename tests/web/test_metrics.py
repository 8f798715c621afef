"""A worker by itself is read at a small door of its own, on this machine only."""

from datetime import UTC, datetime

import pytest
import requests

from adapter.errors import ConfigurationError
from adapter.store import Store
from adapter.store.migrations import migrate
from adapter.web.metrics import Door, Metrics

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def metrics(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store)
    yield Metrics(store, lambda: NOW)
    store.close()


def test_a_worker_shows_its_counters_and_nothing_else(metrics):
    metrics.attempts.labels("luster", "sent").inc()
    door = Door(metrics, 0)
    shown = requests.get(f"http://127.0.0.1:{door.port}/metrics", timeout=5)
    other = requests.get(f"http://127.0.0.1:{door.port}/", timeout=5)
    door.close()
    assert shown.status_code == 200
    assert 'discharge_attempts_total{endpoint="luster",outcome="sent"} 1.0' in shown.text
    assert "discharge_store_commits" in shown.text
    assert other.status_code == 404


def test_a_port_that_is_taken_is_said_with_the_setting(metrics):
    door = Door(metrics, 0)
    with pytest.raises(ConfigurationError, match="worker_port"):
        Door(metrics, door.port)
    door.close()
