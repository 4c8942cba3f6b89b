"""docs/integrate.md, which a stranger follows: its code is the examples' own, its lists are the contract's."""

import re
from pathlib import Path

import pytest

from smallmesh_contracts import ErrorCode, Lane, Status, limits
from smallmesh_contracts.errors import RETRYABLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"<!-- (docs/examples/\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("file", "code"), QUOTES, ids=[f"{file}-{number}" for number, (file, _) in enumerate(QUOTES)])
def test_code_on_the_page_stands_so_in_an_example(file, code):
    assert code in (ROOT / file).read_text(encoding="utf-8")


def test_all_code_in_a_language_that_is_run_is_quoted_from_an_example():
    assert len(QUOTES) == sum(language in {"js", "python", "go"} for language in BLOCKS)


def test_the_errors_are_the_closed_list_and_retryable_is_what_it_says():
    told = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", PAGE, re.MULTILINE))

    assert told == {code.value: "yes" if code in RETRYABLE else "no" for code in ErrorCode}


def test_every_status_is_explained():
    table = PAGE.partition("| `status` |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Status) - {Status.OTHER}


def test_the_limits_named_are_the_limits():
    assert "32 KiB of text (bulk: 512 KiB), 8 KiB of instruction, 8 KiB of metadata" in PAGE
    assert (limits.TEXT_BYTES[Lane.INTERACTIVE], limits.TEXT_BYTES[Lane.BULK]) == (32 * 1024, 512 * 1024)
    assert (limits.INSTRUCTION_BYTES, limits.METADATA_BYTES) == (8 * 1024, 8 * 1024)
    assert "Default: 30, in bulk a day" in PAGE
    assert (limits.TIMEOUT_S[Lane.INTERACTIVE], limits.TIMEOUT_S[Lane.BULK]) == (30.0, 86_400.0)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE)) - {"https://www.w3.org/TR/trace-context/"}))
def test_a_link_leads_somewhere(target):
    assert (ROOT / "docs" / target).exists()


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_what_npm_reads_names_no_registry_and_exact_versions(name):
    text = (ROOT / "docs" / "examples" / "node" / name).read_text(encoding="utf-8")

    assert "://" not in text
    assert '"resolved"' not in text
    assert re.search(r'"@nats-io/[\w-]+": "[\^~>]', text) is None
