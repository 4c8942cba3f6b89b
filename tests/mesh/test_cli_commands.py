"""Commands as people and scripts call them, at a mesh of rules: what goes in, what comes out, and the exit code."""

import asyncio
import json
import sys
import uuid

import pytest

from smallmesh.cli.exits import Exit
from tests.support.processes import Ended, ended, environment

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

BOMB = b'{"text": "x", "metadata": ' + b"[" * 200_000 + b"\n"


@pytest.fixture
def tenant():
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def call(town, town_folder, tmp_path):
    """Call the command line in a process of its own."""

    async def called(*arguments, stdin=b"") -> Ended:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "smallmesh.cli", *arguments),
            cwd=tmp_path,
            env=environment(town_folder, nats_url=town.url, state_dir=str(tmp_path)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        process.stdin.write(stdin)
        process.stdin.close()
        return await ended(process)

    return called


def results(end):
    """Return the results that were printed, by what their metadata call them."""
    return {one["metadata"].get("name", one["task_id"]): one for one in map(json.loads, end.out.splitlines())}


# ---------------------------------------------------------------- one text


async def test_a_text_is_asked_about_from_an_argument_a_pipe_or_a_file(call, tmp_path):
    (tmp_path / "letter.txt").write_bytes(b"\xef\xbb\xbfdear all")

    ends = [
        await call("ask", "ner", "hello there"),
        await call("ask", "ner", "-", stdin=b"piped text"),
        await call("ask", "ner", "--file", "letter.txt"),
    ]

    assert [end.status for end in ends] == [Exit.OK] * 3
    for end, said in zip(ends, ("HELLO", "PIPED", "DEAR"), strict=True):
        assert said in end.out
        assert not end.err


async def test_nobody_of_that_name_is_said_with_those_who_are_there(call):
    end = await call("ask", "nobody", "hello")

    assert end.status == Exit.NOBODY_THERE
    assert "ner" in end.err
    assert "Traceback" not in end.err


async def test_a_whole_task_is_a_card_and_for_programs_json(call):
    card = await call("run", "hello there", "--text")
    told = await call("run", "hello there", "--json", "--want", "entities,complexity")

    assert (card.status, told.status) == (Exit.OK, Exit.OK)
    assert "hello there" in card.out
    assert "completed in" in card.out.splitlines()[-1]
    assert json.loads(told.out)["answers"]["complexity"]["value"]["verdict"] == "simple"


async def test_an_answer_that_is_an_error_ends_with_its_code_and_says_what_to_do(call):
    end = await call("run", "hello there", "--want", "nothing")

    assert end.status == Exit.ERROR
    assert "unknown_answer" in end.out
    assert "→" in end.out


# ---------------------------------------------------------------- many texts


async def test_rows_of_csv_become_tasks_and_broken_ones_are_told_by_their_numbers(call, tenant, tmp_path):
    body = b'id,text,name\r\none,"hello, you",a\r\ntwo,short\r\nthree,"never closed,c\r\nfour,\xff,d\r\nfive,good bye,e\r\n'
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + body)
    options = ("--column", "text", "--id-column", "id", "--metadata", "name", "--want", "entities", "--tenant", tenant)

    end = await call("submit", "rows.csv", *options)

    assert end.status == Exit.ERROR
    assert {name: one["answers"]["entities"]["value"]["said"] for name, one in results(end).items()} == {"a": "HELLO,", "e": "GOOD"}
    assert [line.split(":")[0] for line in end.err.splitlines()] == ["line 3", "line 4", "line 5", end.err.splitlines()[-1].split(":")[0]]
    assert "3 bad, 2 completed" in end.err


async def test_bad_lines_of_json_take_no_good_one_with_them(call, tenant):
    lines = (
        b'\xef\xbb\xbf{"id": "a", "text": "first"}\r\nnot json\n'
        + BOMB
        + b'{"id": "b", "text": "nul \\u0000 in it"}\n\n{"id": "c", "text": ""}'
    )

    end = await call("submit", "-", "--want", "entities", "--tenant", tenant, "--json", stdin=lines)

    reports = [json.loads(line) for line in end.err.splitlines()]
    assert end.status == Exit.ERROR
    assert results(end).keys() == {"a", "b"}
    assert [one["line"] for one in reports[:-1]] == [2, 3, 6]
    assert reports[-1]["totals"] == {"bad": 3, "completed": 2}


async def test_files_of_text_are_a_document_each(call, tenant, tmp_path):
    (tmp_path / "mails").mkdir()
    for name in ("one", "two"):
        (tmp_path / "mails" / f"{name}.txt").write_text(f"{name} mail", encoding="utf-8")

    end = await call("submit", "mails/*.txt", "--want", "entities", "--tenant", tenant, "--out", "results.jsonl")

    told = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert end.status == Exit.OK
    assert {one["metadata"]["file"]: one["answers"]["entities"]["value"]["said"] for one in told} == {
        "mails/one.txt": "ONE",
        "mails/two.txt": "TWO",
    }


async def test_with_ids_a_repeated_call_does_nothing_twice_and_gives_the_same(call, tenant):
    lines = b'{"id": "a", "text": "first"}\n{"id": "b", "text": "second"}\n'
    options = ("submit", "-", "--want", "entities", "--tenant", tenant, "--class", "internal")

    first, again = [results(await call(*options, stdin=lines)) for _ in range(2)]
    other = await call(*options, stdin=b'{"id": "a", "text": "another"}\n')

    assert first == again
    assert other.status == Exit.ERROR
    assert "id_conflict" in other.err


async def test_a_result_is_shown_again_later(call, tenant):
    await call("submit", "-", "--want", "entities", "--tenant", tenant, stdin=b'{"id": "a", "text": "first"}\n')

    there = await call("result", "a", "--tenant", tenant)
    not_there = await call("result", "b", "--tenant", tenant)

    assert (there.status, not_there.status) == (Exit.OK, Exit.ERROR)
    assert "FIRST" in there.out
    assert "no result" in not_there.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("submit", "rows.csv"), "--column"),
        (("submit", "other.csv", "--column", "text"), "there are: a, b"),
        (("submit", "missing.jsonl"), "not there"),
        (("submit", "rows.csv", "--column", "text", "--out", "no/such/folder"), "cannot be written"),
        (("ask", "ner", "hello", "--file", "rows.csv"), "one of them"),
        (("watch", "--tenant", "a.b"), "must match"),
    ],
)
async def test_what_was_given_wrongly_is_said_before_anything_is_done(call, tmp_path, arguments, says):
    (tmp_path / "rows.csv").write_bytes(b"text\nhello\n")
    (tmp_path / "other.csv").write_bytes(b"a,b\n1,2\n")

    end = await call(*arguments)

    assert end.status == Exit.USAGE
    assert says in " ".join(end.err.replace("│", " ").split())
    assert "Traceback" not in end.err


async def test_the_doctor_finds_this_mesh_well(call):
    end = await call("doctor", "--json")

    told = json.loads(end.out)
    assert [one for one in told["findings"] if one["level"] == "problem"] == []
    assert end.status == Exit.OK
