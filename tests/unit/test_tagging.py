import struct
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.hosting.gguf_meta import read_metadata
from smallmesh.hosting.tagging import ARRAYS, LABELS, PREFIX, TagHead, best_path, forbidden
from smallmesh.hosting.words import CASE_FEATURES, split_words

N_EMBD, HIDDEN = 4, 3


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _gguf(path, pairs) -> None:
    """A GGUF file of metadata alone: texts, floats, float arrays and arrays of texts."""
    body = b""
    for key, value in pairs.items():
        body += _string(key)
        if isinstance(value, str):
            body += struct.pack("<I", 8) + _string(value)
        elif isinstance(value, float):
            body += struct.pack("<If", 6, value)
        elif isinstance(value, np.ndarray):
            body += struct.pack("<IIQ", 9, 6, value.size) + value.astype("<f4").tobytes()
        else:
            body += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body)


def _head_pairs(seed: int = 0) -> dict[str, object]:
    random = np.random.default_rng(seed)
    shapes = ((HIDDEN, N_EMBD + CASE_FEATURES), (HIDDEN,), (len(LABELS), HIDDEN), (len(LABELS),))
    arrays = {PREFIX + name: random.normal(size=shape) for name, shape in zip(ARRAYS, shapes, strict=True)}
    return {"tokenizer.ggml.tokens": ["a", "bc"], PREFIX + "labels": ",".join(LABELS), **arrays}


def _valid(path) -> bool:
    bad = forbidden(LABELS)
    return not bad[-1, path[0]] and not any(bad[a, b] for a, b in pairwise(path))


def test_a_file_gives_back_its_numbers_texts_and_arrays(tmp_path):
    pairs = {"general.name": "tagger", "smallmesh.temperature": 1.5, "words": ["x"], "numbers": np.array([1.0, 2.0])}
    _gguf(tmp_path / "m.gguf", pairs)

    found = read_metadata(tmp_path / "m.gguf")

    assert found["general.name"] == "tagger"
    assert found["smallmesh.temperature"] == 1.5
    assert found["numbers"].tolist() == [1.0, 2.0]
    assert "words" not in found  # arrays of texts are passed over


@pytest.mark.parametrize("damage", [lambda _: b"", lambda b: b"GGML" + b[4:], lambda b: b[:-3], lambda b: b[:40]])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, damage):
    _gguf(tmp_path / "m.gguf", {"general.name": "tagger", "more": "text"})
    whole = (tmp_path / "m.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(damage(whole))

    with pytest.raises(ValueError, match=r"m\.gguf"):
        read_metadata(tmp_path / "m.gguf")


def test_a_length_past_the_end_is_an_error_and_no_allocation(tmp_path):
    body = _string("big") + struct.pack("<IIQ", 9, 6, 1 << 60)
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + body)

    with pytest.raises(ValueError, match="past the end"):
        read_metadata(tmp_path / "m.gguf")


def test_the_head_comes_out_of_the_file_as_it_went_in(tmp_path):
    pairs = _head_pairs()
    _gguf(tmp_path / "m.gguf", pairs)

    head = TagHead.from_gguf(tmp_path / "m.gguf")

    assert head.labels == LABELS
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(head, name), pairs[PREFIX + name], rtol=1e-6)


def test_a_file_without_a_head_is_an_error(tmp_path):
    _gguf(tmp_path / "m.gguf", {"general.name": "no tagger"})

    with pytest.raises(ValueError, match="no usable tagging head"):
        TagHead.from_gguf(tmp_path / "m.gguf")


def test_each_word_gets_a_label_and_a_probability(tmp_path):
    _gguf(tmp_path / "m.gguf", _head_pairs())
    words = split_words("Anna met NASA in Rome.")
    vectors = np.random.default_rng(1).normal(size=(len(words), N_EMBD)).astype(np.float32)

    tags = TagHead.from_gguf(tmp_path / "m.gguf").tag(vectors, words)

    assert len(tags) == len(words)
    assert all(label in LABELS and 0 < probability <= 1 for label, probability in tags)


def test_no_words_get_no_labels_and_a_wrong_count_is_an_error(tmp_path):
    _gguf(tmp_path / "m.gguf", _head_pairs())
    head = TagHead.from_gguf(tmp_path / "m.gguf")

    assert head.tag(np.zeros((0, N_EMBD), np.float32), []) == []
    with pytest.raises(ValueError, match="2 vectors for 1 words"):
        head.tag(np.zeros((2, N_EMBD), np.float32), split_words("one"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5, width=32), min_size=len(LABELS), max_size=len(LABELS)), min_size=1, max_size=3))
def test_the_path_is_the_best_of_all_valid_ones(rows):
    scores = np.array(rows, np.float32)
    steps = range(len(scores))

    path = best_path(scores, LABELS)

    best = max(sum(scores[i, p] for i, p in enumerate(each)) for each in product(range(len(LABELS)), repeat=len(scores)) if _valid(each))
    assert _valid(path)
    assert sum(scores[i, path[i]] for i in steps) == pytest.approx(best, abs=1e-4)


def test_an_inside_label_follows_only_its_own_type():
    bad = forbidden(LABELS)
    at = LABELS.index

    assert bad[at("O"), at("I-PERSON")]
    assert bad[at("B-LOCATION"), at("I-PERSON")]
    assert bad[-1, at("I-PERSON")]
    assert not bad[at("B-PERSON"), at("I-PERSON")]
    assert not bad[at("I-PERSON"), at("B-PERSON")]
