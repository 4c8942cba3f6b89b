"""Bodies that would cost their reader far more than a task can be worth are known before they are read."""

import hashlib
import json

import pytest

from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, Lane, decode_task, digest_of
from smallmesh_contracts.parts import MOST_PARTS, too_many_parts

ADDRESS = Address("acme", DataClass.INTERNAL, "t-1")
HOSTILE = {
    "numbers": {"text": "a", "wanted": list(range(100_000))},
    "empty lists": {"text": "a", "metadata": {"a": [[]] * 50_000}},
    "keys": {"text": "a", "metadata": {str(n): 0 for n in range(50_000)}},
    "strings": {"text": "a", "metadata": {"a": ["\\"] * 50_000}},
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_body_of_very_many_parts_is_refused_and_digested_as_it_is(body):
    sent = json.dumps(body).encode()

    with pytest.raises(ContractError) as refused:
        decode_task(sent, ADDRESS, Lane.BULK)

    assert refused.value.info.code is ErrorCode.TOO_LONG
    assert digest_of(sent) == hashlib.sha256(sent).hexdigest()


@pytest.mark.parametrize(
    "text",
    ['{"a": [1, 2]}, ' * 30_000, '\\"' * 60_000, "\\" * 100_001, ",:[]{}" * 50_000, "\u00e9, " * 90_000],
    ids=["JSON", "quotes", "backslashes", "marks", "letters"],
)
def test_a_text_may_hold_any_marks_it_likes(text):
    body = json.dumps({"text": text, "metadata": {"n": [0] * 4000}}).encode()

    assert not too_many_parts(body)
    assert decode_task(body, ADDRESS, Lane.BULK).text == text


def test_the_most_parts_that_metadata_can_hold_pass():
    metadata = {"n": [0] * (MOST_PARTS // 2 - 10)}  # 8 KiB of JSON

    task = decode_task(json.dumps({"text": "a" * 10_000, "metadata": metadata}).encode(), ADDRESS, Lane.INTERACTIVE)

    assert task.metadata == metadata
