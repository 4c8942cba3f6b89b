"""What streams are to keep: shares of a size, ages, replicas; and how that is told."""

import io

import pytest
from nats.js.errors import APIError
from rich.console import Console

from smallmesh.bus.keeping import LEAST_STORE_BYTES, STORE_BYTES, Keeping, fitting, in_units
from smallmesh.bus.layout import AUDIT, DAY_S, DEAD, DONE, ESCALATE, RESULTS, STREAMS, TASKS
from smallmesh.bus.provision import CannotKeepError, Provisioned, _refused, stream_config
from smallmesh.cli.errors import exit_of
from smallmesh.cli.exits import Exit
from smallmesh.cli.views.provision import span, table
from smallmesh_contracts import ErrorCode

MIB = 1024**2
PAYLOAD = 4 * MIB


@pytest.mark.parametrize("whole", [LEAST_STORE_BYTES, 5_000_000_000, STORE_BYTES, 4 * STORE_BYTES])
def test_streams_share_the_whole_and_never_take_more(whole):
    keeping = Keeping(store_bytes=whole)
    sizes = {stream.name: keeping.bytes_of(stream) for stream in STREAMS}

    assert 0.999 * whole < sum(sizes.values()) <= whole
    assert sizes[DONE.name] == max(sizes.values())
    assert sizes[TASKS.name] == pytest.approx(4 * sizes[ESCALATE.name], abs=4)


def test_where_nobody_says_the_layout_decides():
    assert [Keeping().bytes_of(stream) for stream in STREAMS] == [stream.max_bytes for stream in STREAMS]
    assert [Keeping().age_of(stream) for stream in STREAMS] == [stream.max_age_s for stream in STREAMS]


def test_the_least_size_leaves_the_smallest_queue_room_for_two_of_the_largest_messages():
    assert Keeping(store_bytes=LEAST_STORE_BYTES).bytes_of(ESCALATE) > 2 * PAYLOAD


def test_results_and_dead_letters_are_kept_as_long_as_is_set_and_nothing_else_changes():
    keeping = Keeping(done_kept_s=7200.0, dead_kept_s=60.0)

    assert (keeping.age_of(DONE), keeping.age_of(DEAD)) == (7200.0, 60.0)
    assert (keeping.age_of(RESULTS), keeping.age_of(AUDIT)) == (RESULTS.max_age_s, 0.0)


@pytest.mark.parametrize(
    ("room", "halvings"),
    [
        (2 * STORE_BYTES, 0),
        (STORE_BYTES, 0),
        (STORE_BYTES - 1, 1),
        (STORE_BYTES // 2, 1),
        (STORE_BYTES // 2 - 1, 2),
    ],
)
def test_a_smaller_disk_gets_half_as_much_until_it_fits(room, halvings):
    assert fitting(room) == STORE_BYTES // 2**halvings


@pytest.mark.parametrize("room", [0, 1, LEAST_STORE_BYTES])
def test_however_small_a_disk_is_there_is_a_least_size(room):
    assert fitting(room) == LEAST_STORE_BYTES


def test_a_streams_configuration_says_what_is_set():
    config = stream_config(DONE, PAYLOAD, Keeping(replicas=3, store_bytes=STORE_BYTES // 2, done_kept_s=2 * DAY_S))

    assert (config.num_replicas, config.max_bytes, config.max_age) == (3, DONE.max_bytes // 2, 2 * DAY_S)


def test_a_log_remembers_ids_no_longer_than_it_keeps_messages():
    short = stream_config(DEAD, PAYLOAD, Keeping(dead_kept_s=60.0))
    usual = stream_config(DEAD, PAYLOAD, Keeping())
    for_ever = stream_config(AUDIT, PAYLOAD, Keeping())

    assert short.duplicate_window == 60.0
    assert usual.duplicate_window == for_ever.duplicate_window == DAY_S


@pytest.mark.parametrize(
    ("err_code", "said"),
    [
        (10074, "3 replicas of a stream need as many brokers.*SMALLMESH_STREAM_REPLICAS=1"),
        (10005, "on 3 brokers that are up.*28.* GiB each"),
        (10047, "no room for streams of 28.* GiB in all.*SMALLMESH_STORE_SIZE"),
    ],
)
def test_what_the_broker_cannot_keep_names_the_setting_and_is_a_wrong_setting_to_a_script(err_code, said):
    error = _refused(APIError(code=500, err_code=err_code, description="no"), Keeping(replicas=3))

    assert isinstance(error, CannotKeepError)
    with pytest.raises(CannotKeepError, match=said):
        raise error
    assert exit_of(error) is Exit.INSTALLATION


def test_any_other_refusal_is_a_broker_that_cannot_be_used():
    error = _refused(APIError(code=503, err_code=10039, description="JetStream not enabled for account"), Keeping())

    assert error.info.code is ErrorCode.UNAVAILABLE
    assert exit_of(error) is Exit.NOBODY_THERE


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (3 * MIB // 2, "1.5 MiB"), (28 * 1024 * MIB, "28 GiB"), (10**14, "93132 GiB")],
)
def test_sizes_are_told_in_units(size, told):
    assert in_units(size) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, "for ever"), (30.0, "30 seconds"), (60.0, "1 minute"), (3600.0, "1 hour"), (5400.0, "1.5 hours"), (30 * DAY_S, "30 days")],
)
def test_times_are_told_in_units(seconds, told):
    assert span(seconds) == told


def test_the_table_shows_what_each_stream_keeps():
    written = io.StringIO()

    Console(file=written, width=160).print(table([Provisioned("SLM_DONE", "updated", 8 * 1024 * MIB, DAY_S, 3, 12_345, 5 * MIB)]))

    assert written.getvalue().splitlines()[1].split("  ")[0] == "SLM_DONE"
    for part in ("updated", "8 GiB", "5 MiB", "12,345", "1 day", "3"):
        assert part in written.getvalue()
