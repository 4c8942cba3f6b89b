"""Whether a model fits: what it needs by its own metadata, and what the machine, a control group or a limit leaves."""

import numpy as np
import pytest

from smallmesh.hosting.card import ModelCard, ModelError
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.memory import BUFFERS, Need, available, cells_of, need_of, states_of, too_little
from tests.support.fake_gguf import QWEN_05B, write_gguf

MEMINFO = "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n"
CARD = ModelCard(id="m", file="m.gguf", sha256="0" * 64, engine="instruct", architecture="qwen2", quantisation="Q4_0")


def test_keys_and_values_are_reckoned_from_layers_heads_and_context():
    assert cells_of(QWEN_05B, 1) == 24 * 2 * (64 + 64) * 2
    assert cells_of(QWEN_05B, 4096) == 4096 * cells_of(QWEN_05B, 1)


def test_a_model_that_states_the_width_of_its_heads_is_taken_at_its_word():
    stated = {**QWEN_05B, "qwen2.attention.key_length": 128, "qwen2.attention.value_length": 128}

    assert cells_of(stated, 1) == 2 * cells_of(QWEN_05B, 1)


def test_where_nothing_is_said_of_shared_heads_every_head_has_keys_and_values():
    alone = {key: value for key, value in QWEN_05B.items() if not key.endswith("_kv")}

    assert cells_of(alone, 1) == 7 * cells_of(QWEN_05B, 1)


def test_heads_that_differ_from_layer_to_layer_are_counted_layer_by_layer():
    differing = {**QWEN_05B, "qwen2.attention.head_count_kv": np.array([0] * 18 + [2] * 6)}

    assert cells_of(differing, 1) == cells_of(QWEN_05B, 1) // 4


def test_layers_that_have_a_state_instead_have_no_keys_and_values():
    assert cells_of({**QWEN_05B, "qwen2.full_attention_interval": 4}, 1) == cells_of(QWEN_05B, 1) // 4


def test_states_are_reckoned_from_layers_and_sequences():
    hybrid = {
        **QWEN_05B,
        "qwen2.ssm.inner_size": 2048,
        "qwen2.ssm.state_size": 128,
        "qwen2.ssm.conv_kernel": 4,
        "qwen2.ssm.group_count": 16,
    }

    assert states_of(hybrid, 12) == 24 * 12 * (2048 * 128 + 3 * (2048 + 2 * 16 * 128)) * 4
    assert states_of({**QWEN_05B, "qwen2.shortconv.l_cache": 3}, 12) == 24 * 12 * 2 * 896 * 4
    assert states_of(QWEN_05B, 12) == 0


def test_a_model_of_states_alone_has_neither_heads_nor_cells():
    assert cells_of({**QWEN_05B, "qwen2.attention.head_count": 0, "qwen2.ssm.state_size": 16}, 4096) == 0


def test_a_file_needs_its_size_its_cells_and_buffers(tmp_path):
    write_gguf(tmp_path / "m.gguf", size=5000)

    assert need_of(tmp_path / "m.gguf", CARD) == Need(5000, cells_of(QWEN_05B, CARD.context), BUFFERS)


@pytest.mark.parametrize(
    "metadata",
    [
        {"general.architecture": "qwen2"},
        {**QWEN_05B, "qwen2.attention.head_count": 0},
        {**QWEN_05B, "qwen2.attention.head_count": "14"},
        {},
    ],
)
def test_a_file_that_does_not_say_its_shape_is_refused_by_name(tmp_path, metadata):
    write_gguf(tmp_path / "m.gguf", metadata)

    with pytest.raises(ModelError, match=r"m\.gguf does not say its shape"):
        need_of(tmp_path / "m.gguf", CARD)


def test_what_is_too_much_is_said_with_how_much_there_is():
    need = Need(400_000_000, 50_000_000, 150_000_000)

    assert too_little(CARD, need, 600_000_000) is None
    assert too_little(CARD, need, None) is None
    assert too_little(CARD, need, 599_000_000) == (
        "too little memory for m: it needs 600 MB (400 weights, 50 keys and values, 150 buffers), 599 MB are available"
    )


# ---------------------------------------------------------------- what there is


@pytest.fixture
def root(tmp_path, monkeypatch):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    write("proc/meminfo", MEMINFO)
    return tmp_path, write


def test_without_a_limit_it_is_what_the_machine_has_left(root):
    folder, write = root
    write("proc/self/cgroup", "0::/\n")
    write("sys/fs/cgroup/memory.max", "max\n")

    assert available(folder) == 8_000_000 * 1024


def test_a_control_group_leaves_what_it_has_not_taken_and_could_drop(root):
    folder, write = root
    write("proc/self/cgroup", "0::/mesh/agent\n")
    write("sys/fs/cgroup/mesh/agent/memory.max", "1000000000")
    write("sys/fs/cgroup/mesh/agent/memory.current", "700000000")
    write("sys/fs/cgroup/mesh/agent/memory.stat", "anon 1\ninactive_file 50000000\n")

    assert available(folder) == 350_000_000


def test_a_control_group_above_counts_where_it_leaves_less(root):
    folder, write = root
    write("proc/self/cgroup", "0::/mesh/agent\n")
    write("sys/fs/cgroup/mesh/agent/memory.max", "max")
    write("sys/fs/cgroup/mesh/memory.max", "500000000")
    write("sys/fs/cgroup/mesh/memory.current", "400000000")

    assert available(folder) == 100_000_000


def test_control_groups_of_the_older_kind_count_too(root):
    folder, write = root
    write("proc/self/cgroup", "5:memory:/docker/a\n3:cpu:/docker/a\n")
    write("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "600000000")
    write("sys/fs/cgroup/memory/docker/a/memory.usage_in_bytes", "100000000")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "100000000")

    assert available(folder) == 500_000_000


def test_a_limit_of_the_address_space_counts(root, monkeypatch):
    folder, write = root
    write("proc/self/status", "Name:\tx\nVmSize:\t  200000 kB\n")
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_000_000_000, 1_000_000_000))

    assert available(folder) == 1_000_000_000 - 200_000 * 1024


def test_where_nothing_says_it_nobody_knows(tmp_path, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)

    assert available(tmp_path) is None


def test_this_machine_says_it():
    assert (memory.available() or 0) > 0
