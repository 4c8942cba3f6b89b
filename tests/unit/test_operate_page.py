"""docs/operate.md says what is so: settings, streams, a configuration that nats-server takes."""

import re
import subprocess
from pathlib import Path

import pytest

from smallmesh.broker import MAX_PAYLOAD, _find_binary
from smallmesh.bus.keeping import Keeping, in_units
from smallmesh.bus.layout import STREAMS
from smallmesh.cli.views.provision import span
from smallmesh.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")


def test_every_setting_it_names_is_one():
    named = {name.lower() for name in re.findall(r"SMALLMESH_([A-Z_]+)", PAGE)}

    assert named <= set(Settings.model_fields)
    assert {"stream_replicas", "store_size", "done_kept_s", "dead_kept_s", "broker_sync"} <= named


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_it_shows_every_stream_as_it_is_made(stream):
    shown = re.search(rf"^{stream.name} .*$", PAGE, re.MULTILINE)[0]

    assert in_units(Keeping().bytes_of(stream)) in shown
    assert span(stream.max_age_s) in shown


def test_nats_server_takes_the_configuration_it_recommends(tmp_path):
    (block,) = re.findall(r"```\n(server_name.*?)```", PAGE, re.DOTALL)
    config = tmp_path / "nats.conf"
    config.write_text(block.replace("/data", str(tmp_path)), encoding="utf-8")

    checked = subprocess.run([_find_binary(), "-t", "-c", config], capture_output=True, text=True, timeout=10, check=False)

    assert checked.returncode == 0, checked.stderr
    assert f"max_payload: {MAX_PAYLOAD}" in block
    assert 'sync_interval: "' in block
