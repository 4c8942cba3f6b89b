"""The embedded broker of a mesh: what its streams may take, and when it is started again."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from smallmesh.bus.keeping import LEAST_STORE_BYTES, STORE_BYTES
from smallmesh.settings import Settings
from smallmesh.supervise import mesh

MUCH, LITTLE = 10 * 1024**3, 1024**2
WRITE_ERROR = "JetStream stream '$G > SLM_TASKS' write error: write 1.blk: no space left on device"


@dataclass
class Broker:
    """Says what a broker would."""

    room: int = MUCH
    said: str | None = None
    store: Path = Path()

    def trouble(self):
        return self.said


@pytest.fixture
def free(monkeypatch):
    def set_free(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))

    return set_free


@pytest.mark.parametrize(
    ("broker", "size", "whole"),
    [
        (None, None, STORE_BYTES),
        (None, "1GiB", 1024**3),
        (Broker(room=2 * STORE_BYTES), None, STORE_BYTES),
        (Broker(room=STORE_BYTES - 1), None, STORE_BYTES // 2),
        (Broker(room=1), None, LEAST_STORE_BYTES),
        (Broker(room=1), "1GiB", 1024**3),
    ],
)
def test_what_is_set_counts_else_what_the_embedded_brokers_disk_has_room_for(broker, size, whole):
    assert mesh._keeping(broker, Settings(store_size=size)).store_bytes == whole


@pytest.mark.parametrize(
    ("said", "bytes_free", "again"),
    [
        (None, MUCH, False),
        (WRITE_ERROR, LITTLE, False),
        (WRITE_ERROR, MUCH, True),
        ("JetStream is still recovering 3 streams", MUCH, False),
    ],
)
def test_a_broker_whose_write_failed_is_started_again_when_its_disk_has_room(free, said, bytes_free, again):
    free(bytes_free)

    assert mesh._would_recover(Broker(said=said)) is again
