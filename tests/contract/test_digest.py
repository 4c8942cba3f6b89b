import hashlib
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smallmesh_contracts import digest_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), values, max_size=5)
unhurried = settings(deadline=None)
"""A busy machine is no defect."""


@unhurried
@given(bodies, st.randoms())
def test_white_space_order_of_keys_and_escapes_change_nothing(body, random):
    shuffled = list(body.items())
    random.shuffle(shuffled)

    compact = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    other = json.dumps(dict(shuffled), indent=2, ensure_ascii=True).encode()

    assert digest_of(compact) == digest_of(other)


@unhurried
@given(bodies, st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_another_text_is_another_digest(body, text, other):
    assume(text != other)

    assert digest_of(json.dumps(body | {"text": text}).encode()) != digest_of(json.dumps(body | {"text": other}).encode())


def test_the_digest_is_the_sha256_of_compact_json_with_sorted_keys():
    canonical = '{"metadata":{"a":1,"b":null},"text":"Grüße"}'

    digest = digest_of(b'{ "text": "Gr\\u00fc\\u00dfe", "metadata": {"b": null, "a": 1} }')

    assert digest == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    "body",
    [b"", b'{"text":', b"\xff\xfe", b'{"text": "\xff"}', b'{"text":"\\ud800"}', b"9" * 5000, b"[" * 200_000],
    ids=["empty", "cut off", "no UTF-8", "no UTF-8 in a string", "lone surrogate", "huge number", "deep"],
)
def test_what_is_not_json_is_digested_as_it_is(body):
    assert digest_of(body) == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_body_in_another_encoding_than_the_wires_is_another_body(encoding):
    """Such a body is refused; sent again in UTF-8 under the same id, it must not pass for a repetition of the refused one."""
    text = '{"text":"hello"}'

    assert digest_of(text.encode(encoding)) != digest_of(text.encode())
