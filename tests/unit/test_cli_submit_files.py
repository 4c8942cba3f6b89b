"""Files of results and errors: written, refused, gone on with."""

import io
import json
import os
from pathlib import Path

import pytest
import typer

from smallmesh.cli.intake.choices import Existing
from smallmesh.cli.intake.job import Files
from smallmesh.cli.intake.lines import BadLine, Ended, LineReader, Submission
from smallmesh.cli.intake.outcomes import Outcome
from smallmesh.cli.intake.results import Results
from smallmesh.cli.intake.resuming import open_errors, open_results
from smallmesh.cli.intake.tally import Tally
from smallmesh_contracts import Address, Answer, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, Status, TaskResult, digest_of

TENANT = "shop"
FAILED = ErrorInfo(code=ErrorCode.MODEL_FAILED, message="it broke", step="ner")
BODY = b'{"text":"hello"}'


def address_of(task_id, data_class=DataClass.INTERNAL):
    return Address(TENANT, data_class, task_id)


def submission(task_id="a", line=1, file=""):
    return Submission(line, address_of(task_id), Lane.BULK, b"", digest_of(BODY), file)


def outcome(task_id="a", status=Status.COMPLETED, *, line=1, file="", **more):
    sent = submission(task_id, line, file)
    result = TaskResult(
        task_id=task_id, tenant=TENANT, data_class=DataClass.INTERNAL, status=status, digest=sent.digest, took_ms=1.0, **more
    )
    return Outcome(sent, result.to_bytes(), status)


def lines_of(body):
    return [json.loads(line) for line in body.splitlines()]


@pytest.fixture
def out():
    return io.BytesIO()


@pytest.fixture
def errors():
    return io.BytesIO()


# ---------------------------------------------------------------- what is written


def test_a_result_is_written_as_the_mesh_keeps_it_with_where_its_document_stands(out):
    came = outcome(line=7, metadata={"name": "Zoë 🎉"})

    Results(out).result(came)

    assert out.getvalue() == b'{"line":7,' + came.body[1:] + b"\n"
    assert lines_of(out.getvalue())[0] == {"line": 7, **json.loads(came.body)}


def test_of_several_files_the_files_name_is_told_too(out):
    Results(out).result(outcome(file='a "b".jsonl'))

    (told,) = lines_of(out.getvalue())
    assert (told["file"], told["line"]) == ('a "b".jsonl', 1)


@pytest.mark.parametrize("body", [b'{\n "status": "completed",\n "task_id": "a"\n}', b' {"status":"completed","task_id":"a"}'])
def test_a_result_in_another_form_is_one_line_all_the_same(out, body):
    Results(out).result(Outcome(submission(), body, Status.COMPLETED))

    assert lines_of(out.getvalue()) == [{"line": 1, "status": "completed", "task_id": "a"}]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PARTIAL])
def test_a_task_that_was_done_is_a_result(out, errors, status):
    Results(out, errors).result(outcome(status=status))

    assert (len(lines_of(out.getvalue())), errors.getvalue()) == (1, b"")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"status": Status.FAILED, "error": FAILED}, ErrorCode.MODEL_FAILED),
        ({"status": Status.FAILED, "answers": {"b": Answer(value={}), "a": Answer(error=FAILED)}}, ErrorCode.MODEL_FAILED),
        ({"status": Status.EXPIRED}, ErrorCode.EXPIRED),
        ({"status": Status.CANCELLED}, ErrorCode.CANCELLED),
        ({"status": Status.FAILED}, ErrorCode.INTERNAL),
    ],
)
def test_a_task_that_was_not_done_is_an_error_with_line_id_and_the_whole_result(out, errors, more, code):
    came = outcome("a", line=3, **more)

    Results(out, errors).result(came)

    (told,) = lines_of(errors.getvalue())
    assert (told["line"], told["id"], told["data_class"], told["error"]["code"]) == (3, "a", "internal", code)
    assert told["result"] == json.loads(came.body)
    assert out.getvalue() == b""


def test_without_a_file_for_errors_every_result_is_a_result(out):
    Results(out).result(outcome(status=Status.FAILED, error=FAILED))

    assert lines_of(out.getvalue())[0]["status"] == "failed"


def test_a_bad_line_is_an_error_with_its_number_and_its_id_if_it_has_one(out, errors):
    tally = Tally(Results(out, errors), as_json=False)

    tally.bad(BadLine(2, FAILED, "x.jsonl"))
    tally.bad(BadLine(3, FAILED, task_id="t"))

    told = lines_of(errors.getvalue())
    assert [(one.get("file"), one["line"], one["id"]) for one in told] == [("x.jsonl", 2, None), (None, 3, "t")]
    assert all(one["error"]["code"] == "model_failed" for one in told)
    assert (tally.failed, tally.counts) == (2, {"bad": 2})


def test_what_may_still_come_is_told_and_written_nowhere(out, errors, capsys):
    tally = Tally(Results(out, errors), as_json=True)
    late = ContractError(ErrorCode.EXPIRED, "no result yet").info

    tally.came(Outcome(submission("a"), error=late, is_final=False))
    tally.came(Outcome(submission("b"), error=late))

    assert [one["id"] for one in lines_of(errors.getvalue())] == ["b"]
    assert [one["id"] for one in lines_of(capsys.readouterr().err)] == ["a"]
    assert tally.waiting == 1


class FullDisk(io.BytesIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_said_in_words():
    with pytest.raises(ContractError, match="No space left"):
        Results(FullDisk()).result(outcome())


# ---------------------------------------------------------------- files that are there


@pytest.fixture
def results_file(tmp_path):
    """Two results, as a run writes them."""
    path = tmp_path / "results.jsonl"
    with path.open("wb") as file:
        for one in (outcome("a", line=1), outcome("b", Status.FAILED, line=2)):
            Results(file).result(one)
    return path


@pytest.fixture
def errors_file(tmp_path):
    """A bad line and a task that failed, as a run writes them."""
    path = tmp_path / "errors.jsonl"
    with path.open("wb") as file:
        tally = Tally(Results(io.BytesIO(), file), as_json=False)
        tally.bad(BadLine(7, FAILED))
        tally.came(outcome("c", Status.FAILED, line=8, error=FAILED))
    return path


def resumed(path):
    """Open a file as a run that goes on does, and close it; return what ended."""
    ended = Ended()
    open_results(path, Existing.RESUME, ended).close()
    return ended


def test_a_file_with_something_in_it_is_refused_and_stays_as_it_is(results_file):
    before = results_file.read_bytes()

    with pytest.raises(typer.BadParameter, match=r"--resume.*--overwrite"):
        open_results(results_file, Existing.REFUSE, Ended())

    assert results_file.read_bytes() == before


@pytest.mark.parametrize("existing", Existing)
def test_an_empty_file_or_none_is_taken(tmp_path, existing):
    (tmp_path / "empty").touch()

    for name in ("empty", "none"):
        with open_results(tmp_path / name, existing, Ended()) as file:
            file.write(b"x\n")
        assert (tmp_path / name).read_bytes() == b"x\n"


def test_overwriting_gives_up_what_is_there(results_file):
    with open_results(results_file, Existing.OVERWRITE, Ended()) as file:
        file.write(b"x\n")

    assert results_file.read_bytes() == b"x\n"


def test_going_on_knows_what_ended_and_appends(results_file):
    before, ended = results_file.read_bytes(), Ended()

    with open_results(results_file, Existing.RESUME, ended) as file:
        Results(file).result(outcome("c"))

    assert results_file.read_bytes().startswith(before)
    assert [one["task_id"] for one in lines_of(results_file.read_bytes())] == ["a", "b", "c"]
    reader = LineReader(TENANT, DataClass.INTERNAL, Lane.BULK, ended=ended)
    read = [reader.read(n, b'{"id": "%b", "text": "hello"}' % one) for n, one in enumerate((b"a", b"b", b"c"), 1)]
    assert [getattr(one, "failed", None) for one in read] == [False, True, None]


def test_errors_are_gone_on_with_by_line_and_by_id(errors_file):
    ended = Ended()

    open_errors(errors_file, Existing.RESUME, ended, TENANT).close()

    assert len(ended) == 2
    assert not ended.bad_line("", 7)
    assert not ended.task(address_of("c"))


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_last_line_that_was_not_written_whole_is_cut_off(results_file, cut):
    whole = results_file.read_bytes()
    half = whole.splitlines(keepends=True)[0][:-cut]
    results_file.write_bytes(whole + half)

    ended = resumed(results_file)

    as_if_whole = json_or_none(half) is not None
    assert results_file.read_bytes() == whole + (half + b"\n" if as_if_whole else b"")
    assert len(ended) == 2


def json_or_none(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


@pytest.mark.parametrize("half", [b"{", b'{"li', b'{"line":1', b'{"file":"x","line":3,"ta', b"\0\0\0\0", b'{"line":1,"task_id"\0\0'])
def test_every_beginning_of_a_line_is_one(results_file, half):
    whole = results_file.read_bytes()
    results_file.write_bytes(whole + half)

    resumed(results_file)

    assert results_file.read_bytes() == whole


@pytest.mark.parametrize(
    "body",
    [
        b"Dear diary,\nnothing happened.\n",
        b"no end of line",
        b'{"text": "a line of input"}\n',
        b'{"text": "not ended"}',
        b'{"line":1}\n',
        b"\xff\n",
    ],
)
def test_a_file_that_is_something_else_is_refused_and_stays_as_it_is(tmp_path, body):
    path = tmp_path / "precious"
    path.write_bytes(body)

    with pytest.raises(typer.BadParameter, match="line 1"):
        resumed(path)

    assert path.read_bytes() == body


def test_something_else_amid_results_is_refused_with_its_line(results_file):
    body = results_file.read_bytes() + b"rubbish\n" + results_file.read_bytes()
    results_file.write_bytes(body)

    with pytest.raises(typer.BadParameter, match="line 3"):
        resumed(results_file)

    assert results_file.read_bytes() == body


def test_two_runs_cannot_write_to_one_file(tmp_path):
    first = open_results(tmp_path / "results.jsonl", Existing.RESUME, Ended())

    with pytest.raises(typer.BadParameter, match="another run"):
        open_results(tmp_path / "results.jsonl", Existing.RESUME, Ended())

    first.close()
    resumed(tmp_path / "results.jsonl")


def test_a_device_is_written_to_and_holds_nothing():
    open_results(Path(os.devnull), Existing.REFUSE, Ended()).close()


def test_where_nothing_can_be_written_is_said(tmp_path):
    for path in (tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(typer.BadParameter, match="cannot be written"):
            open_results(path, Existing.REFUSE, Ended())


def test_both_files_of_an_earlier_run_are_known_to_the_reader(results_file, errors_file):
    reader = LineReader(TENANT, DataClass.INTERNAL, Lane.BULK)

    with Files(results_file, errors_file, Existing.RESUME).opened(reader):
        assert len(reader.ended) == 4


def test_files_that_are_begun_anew_are_not_read(results_file):
    reader = LineReader(TENANT, DataClass.INTERNAL, Lane.BULK)

    with Files(results_file, None, Existing.OVERWRITE).opened(reader):
        assert reader.ended is None
