"""Brokers in a cluster: where they are, and that none is left behind. What they keep together: ``tests/bus`` and ``tests/faults``."""

import pytest

from smallmesh.broker import reachable
from smallmesh.broker_cluster import SIZE, EmbeddedCluster, clustered


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with EmbeddedCluster.start(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_its_address_names_every_broker_and_each_can_be_reached(cluster):
    addresses = cluster.url.split(",")

    assert len(set(addresses)) == SIZE
    assert all(map(reachable, addresses))


def test_after_the_block_none_is_left(tmp_path):
    with EmbeddedCluster.start(tmp_path, size=2) as running:
        pids = [broker.pid for broker in running.brokers.values()]
        addresses = running.url.split(",")

    assert None not in pids
    assert not any(map(reachable, addresses))
    assert [broker.pid for broker in running.brokers.values()] == [None, None]


def test_a_server_is_told_the_routes_of_the_others_and_not_its_own():
    lines = clustered("b", "h:2", ["h:1", "h:2", "h:3"])

    assert lines.splitlines() == [
        "server_name: b",
        'cluster { name: smallmesh, listen: "h:2", ping_interval: "5s", routes: ["nats://h:1", "nats://h:3"] }',
    ]
