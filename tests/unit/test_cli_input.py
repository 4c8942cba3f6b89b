"""Documents out of files: lines of JSON, CSV, text; what is broken is told by its number, and the rest goes on."""

import io
import json
import tracemalloc

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.cli.commands.submit import columns_of
from smallmesh.cli.intake import records
from smallmesh.cli.intake.lines import BadLine, LineReader, Submission
from smallmesh.cli.intake.records import LONGEST_LINE, LONGEST_ROW, Columns, FileKindError, Record, csv_rows, json_lines
from smallmesh.cli.intake.sources import Kind, find_sources, records_of, total_of
from smallmesh.cli.options import read_text
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, decode_task, digest_of, limits

DEEP = 200_000
COLUMNS = Columns("text", "id", ("queue",))
BOM = b"\xef\xbb\xbf"


def reader(**defaults):
    return LineReader("shop", DataClass.RESTRICTED, Lane.BULK, defaults)


def stream_of(body):
    return io.BufferedReader(io.BytesIO(body))


def rows(body, columns=COLUMNS):
    """Read CSV down to submissions and bad lines."""
    lines = reader()
    return [lines.take(record) for record in csv_rows(stream_of(body), columns)]


def told(read):
    """Return the text of a submission, or the code of an error, with its number."""
    return read.line, json.loads(read.body)["text"] if isinstance(read, Submission) else read.error.code


# ---------------------------------------------------------------- lines of JSON


def test_a_line_with_nothing_but_a_text_gets_an_id_and_the_defaults():
    read = reader().read(1, b'{"text": "hello"}')

    assert isinstance(read, Submission)
    assert (read.address.tenant, read.address.data_class, read.lane) == ("shop", DataClass.RESTRICTED, Lane.BULK)
    assert read.address.is_valid()
    assert json.loads(read.body) == {"text": "hello"}


def test_a_line_says_its_own_address_and_task():
    line = {"id": "t-1", "text": "hello", "wanted": ["sentiment"], "instruction": "why?", "metadata": {"n": 1}, "timeout_s": 5}

    read = reader().read(1, json.dumps({**line, "data_class": "public", "lane": "interactive"}).encode())

    assert isinstance(read, Submission)
    assert (read.address.task_id, read.address.data_class, read.lane) == ("t-1", DataClass.PUBLIC, Lane.INTERACTIVE)
    task = decode_task(read.body, read.address, read.lane)
    assert task.model_dump(exclude={"version", "replay_of"}) == {
        "text": "hello",
        "wanted": ("sentiment",),
        "instruction": "why?",
        "metadata": {"n": 1},
        "timeout_s": 5.0,
    }


def test_options_say_what_a_line_leaves_out_and_nothing_that_it_says():
    lines = reader(wanted=("summary",), instruction="why?")

    first, second = (lines.read(n, line) for n, line in enumerate((b'{"text": "x"}', b'{"text": "x", "wanted": ["sentiment"]}'), 1))

    assert json.loads(first.body) == {"text": "x", "wanted": ["summary"], "instruction": "why?"}
    assert json.loads(second.body)["wanted"] == ["sentiment"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"not json", ErrorCode.INVALID_REQUEST),
        (b'"a text"', ErrorCode.INVALID_REQUEST),
        (b'{"text": ""}', ErrorCode.INVALID_REQUEST),
        (b'{"text": 1}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "\xff"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "\\ud800"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "id": "a b"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "id": ""}', None),
        (b'{"text": "x", "data_class": "secret"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "wanted": []}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "version": "2.0"}', ErrorCode.UNSUPPORTED_VERSION),
        (b'{"text": "x", "version": "1.7"}', None),
        (b'{"text": "x", "metadata": {"a": NaN}}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "metadata": {"a": null}}', None),
        (b'{"text": "x", "metadata": {"a": "' + b"y" * 9_000 + b'"}}', ErrorCode.TOO_LONG),
        (b'{"text": "x", "instruction": "' + b"y" * 9_000 + b'"}', ErrorCode.TOO_LONG),
        (b'{"text": "' + b"x" * 40_000 + b'", "lane": "interactive"}', ErrorCode.TOO_LONG),
        (b'{"text": "' + b"x" * 40_000 + b'"}', None),
        (BOM + b'{"text": "x"}', None),
        (b'{"text": "a\\u0000b"}', None),
        (b'{"text": "x"}\r\n', None),
        (b"[" * DEEP, ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "metadata": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}", ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "unknown": ' + b'{"a": ' * DEEP + b"1" + b"}" * DEEP + b"}", ErrorCode.INVALID_REQUEST),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else str(value),
)
def test_a_bad_line_is_an_error_with_its_number(raw, code):
    read = reader().read(7, raw)

    assert (read.error.code if isinstance(read, BadLine) else None) == code
    assert read is not None
    assert read.line == 7


def test_an_empty_line_is_nothing():
    assert reader().read(1, b" \n") is None
    assert [record.line for record in json_lines(stream_of(b'{"text": "x"}\n \r\n\n{"text": "y"}'))] == [1, 4]


def test_an_id_may_come_once_a_class():
    lines = reader()
    lines.read(1, b'{"id": "a", "text": "x"}')

    again = lines.read(2, b'{"id": "a", "text": "y"}')
    elsewhere = lines.read(3, b'{"id": "a", "text": "y", "data_class": "public"}')

    assert isinstance(again, BadLine)
    assert "line 1" in again.error.message
    assert isinstance(elsewhere, Submission)


def test_the_id_of_a_bad_line_is_free():
    lines = reader()
    lines.read(1, b'{"id": "a", "text": ""}')

    assert isinstance(lines.read(2, b'{"id": "a", "text": "y"}'), Submission)


def test_an_id_of_another_file_is_told_with_that_file():
    lines = reader()
    lines.take(Record(4, b'{"id": "a", "text": "x"}', "one.jsonl"))

    again = lines.take(Record(1, b'{"id": "a", "text": "y"}', "two.jsonl"))

    assert "one.jsonl line 4" in again.error.message


def test_fields_that_no_task_has_are_told():
    lines = reader()
    lines.read(1, b'{"text": "x", "wnated": ["sentiment"]}')

    assert lines.ignored == {"wnated"}


class Endless(io.RawIOBase):
    """Bytes without an end of line, then one good line."""

    def __init__(self, size):
        self._left = size
        self._last = b'\n{"text": "x"}\n'

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._left > 0:
            size = min(len(buffer), self._left)
            buffer[:size] = b"x" * size
            self._left -= size
            return size
        size, self._last = len(self._last), b""
        buffer[:size] = b'\n{"text": "x"}\n'[:size]
        return size


def test_a_line_without_an_end_is_too_long_and_is_never_held():
    tracemalloc.start()

    bad, good = json_lines(io.BufferedReader(Endless(10 * LONGEST_LINE)))

    assert tracemalloc.get_traced_memory()[1] < 4 * LONGEST_LINE
    tracemalloc.stop()
    assert (bad.line, bad.content.code) == (1, ErrorCode.TOO_LONG)
    assert (good.line, good.content) == (2, b'{"text": "x"}\n')


def test_the_longest_text_fits_a_line_also_with_every_character_escaped():
    line = b'{"text": "' + b"\\u0041" * limits.TEXT_BYTES[Lane.BULK] + b'"}\n'

    (record,) = json_lines(stream_of(line))

    assert isinstance(reader().take(record), Submission)


def test_a_file_in_utf_16_is_told_for_what_it_is():
    with pytest.raises(FileKindError, match="UTF-16"):
        list(json_lines(stream_of('{"text": "x"}'.encode("utf-16"))))


# ---------------------------------------------------------------- CSV


def test_a_column_is_the_text_another_the_id_and_others_are_echoed():
    (read,) = rows(b'id,subject,queue,text\nt-1,Hello,7,"It broke, again."\n')

    assert (read.line, read.address.task_id) == (2, "t-1")
    assert json.loads(read.body) == {"text": "It broke, again.", "metadata": {"queue": "7"}}


def test_without_a_column_of_ids_the_number_of_the_row_is_echoed():
    (read,) = rows(b"text\nhello\n", Columns("text"))

    assert json.loads(read.body)["metadata"] == {"line": 2}
    assert read.address.is_valid()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BOM + b"id,text,queue\r\n1,a,x\r\n2,b,x\r\n", [(2, "a"), (3, "b")]),
        (b'id,text,queue\n1,"two\nlines",x\n2,b,x\n', [(2, "two\nlines"), (4, "b")]),
        (b'id,text,queue\n1,"say ""hi""",x\n', [(2, 'say "hi"')]),
        (b"id,text,queue\n\n1,a,x\n\n", [(3, "a")]),
        (b"id,text,queue\n1,a\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,a,b,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\na b,a,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,\xff,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,\xed\xa0\x80,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,a\x00c,x\n", [(2, "a\x00c")]),
        (b'id,text,queue\n1,"a,x\n2,b,x\n3,c,x\n', [(2, ErrorCode.INVALID_REQUEST), (3, "b"), (4, "c")]),
        (b'id,text,queue\n1,"a"b,x\n2,b,x\n', [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b'id,text,queue\n1,"a\n\xff",x\n2,b,x\n', [(2, ErrorCode.INVALID_REQUEST), (4, "b")]),
        (b"id,text,queue\n1,a\rb,x\n2,b,x\n", [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
        (b"id,text,queue\n1,a,x\n1,b,x\n", [(2, "a"), (3, ErrorCode.ID_CONFLICT)]),
        (b'id,text,queue\n1,"' + b"x" * LONGEST_ROW + b'",x\n2,b,x\n', [(2, ErrorCode.INVALID_REQUEST), (3, "b")]),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else "",
)
def test_a_broken_row_is_told_by_its_number_and_takes_no_other_with_it(body, expected):
    assert [told(read) for read in rows(body)] == expected


@pytest.mark.parametrize(
    ("body", "columns", "says"),
    [
        (b"", COLUMNS, "nothing in it"),
        (b"id;text;queue\n", COLUMNS, "--delimiter"),
        (b"id,body,queue\n", COLUMNS, "there are: id, body, queue"),
        (b"text,text\n", Columns("text"), "more than once"),
        (b'id,"text\n', COLUMNS, "header"),
        ("id,text".encode("utf-16"), COLUMNS, "UTF-16"),
    ],
)
def test_a_header_that_does_not_fit_says_what_to_do(body, columns, says):
    with pytest.raises(FileKindError, match=says):
        list(csv_rows(stream_of(body), columns))


def test_quotes_that_are_never_closed_make_a_file_cost_a_few_passes_and_not_one_a_row(monkeypatch):
    """Each of these rows leaves a quote open, from wherever it is read: every one would be read up to the longest row."""
    row, many = b'b",",\n', 5_000
    monkeypatch.setattr(records, "LONGEST_ROW", 100 * len(row))
    monkeypatch.setattr(records, "PATIENCE", 1_000 * len(row))
    taken = []
    take = records._Rewindable.__next__
    monkeypatch.setattr(records._Rewindable, "__next__", lambda lines: (taken.append(1), take(lines))[1])

    read = list(csv_rows(stream_of(b"id,text,queue\n" + row * many), COLUMNS))

    assert [record.line for record in read] == list(range(2, many + 2))
    assert all(record.content.code is ErrorCode.INVALID_REQUEST for record in read)
    assert len(taken) < many + 1_200
    assert "end in its line" in read[-1].content.message


cell = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@settings(deadline=None)
@given(st.lists(st.tuples(cell, cell), max_size=8))
def test_whatever_a_writer_quotes_is_read_back(pairs):
    body = "text,other\r\n" + "".join('"{}","{}"\r\n'.format(*(one.replace('"', '""') for one in pair)) for pair in pairs)

    records = list(csv_rows(stream_of(body.encode()), Columns("text", metadata=("other",))))

    assert [(record.content["text"], record.content["metadata"]["other"]) for record in records] == pairs


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"") + b"\n"), max_size=12))
def test_good_rows_among_any_bytes_are_all_read(junk):
    """A row that stands between rubbish is lost only where an open quote above it makes it part of a quoted cell."""
    junk = [line.replace(b'"', b"'") for line in junk]
    body = b"text\n" + b"".join(line + b"good\n" for line in junk)

    contents = [record.content for record in csv_rows(stream_of(body), Columns("text"))]

    assert sum(isinstance(one, dict) and one["text"] == "good" for one in contents) >= len(junk)


def test_options_of_csv_go_together():
    assert columns_of("text", None, "a, b", "tab") == Columns("text", None, ("a", "b"), "\t")
    assert columns_of(None, None, None, ",") is None
    for wrong in ((None, "id", None, ","), (None, None, "a", ","), ("text", None, None, ";;"), ("text", None, None, '"')):
        with pytest.raises(typer.BadParameter):
            columns_of(*wrong)


# ---------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "line"}\nnot json\n')
    (tmp_path / "b.csv").write_bytes(b"body\nrow\n")
    (tmp_path / "c.tsv").write_bytes(b"body\tother\nrow, two\tx\n")
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails" / "1.txt").write_bytes(BOM + b"first\r\nmail")
    (tmp_path / "mails" / "2.txt").write_bytes(b"\xff")
    (tmp_path / "mails" / "3.txt").write_bytes(b"x" * (limits.TEXT_BYTES[Lane.BULK] + 1))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_file_is_read_as_its_name_says():
    sources = find_sources(["a.jsonl", "b.csv", "c.tsv", "mails/*.txt"], None, Columns("body"))

    read = [reader().take(record) for record in records_of(sources)]

    assert [one.file for one in read] == ["a.jsonl", "a.jsonl", "b.csv", "c.tsv", "mails/1.txt", "mails/2.txt", "mails/3.txt"]
    texts = [json.loads(one.body)["text"] if isinstance(one, Submission) else one.error.code for one in read]
    assert texts == ["line", "invalid_request", "row", "row, two", "first\r\nmail", "invalid_request", "too_long"]
    assert total_of(sources) == 7


@pytest.mark.usefixtures("folder")
def test_a_document_carries_the_name_of_its_file():
    (source,) = find_sources(["mails/1.txt"], None, None)

    (read,) = (reader().take(record) for record in source.records())

    assert json.loads(read.body)["metadata"] == {"file": "mails/1.txt"}


@pytest.mark.usefixtures("folder")
def test_a_file_that_goes_away_is_told_and_the_rest_goes_on(folder):
    sources = find_sources(["mails/1.txt", "b.csv"], None, Columns("body"))
    (folder / "mails" / "1.txt").unlink()

    read = [reader().take(record) for record in records_of(sources)]

    assert [isinstance(one, BadLine) for one in read] == [True, False]
    assert "cannot be read" in read[0].error.message


@pytest.mark.usefixtures("folder")
def test_one_of_several_files_that_is_not_what_it_should_be_does_not_end_the_rest(folder):
    (folder / "other.csv").write_bytes(b"other\nrow\n")
    both = find_sources(["other.csv", "b.csv"], None, Columns("body"))

    read = [reader().take(record) for record in records_of(both)]

    assert [(one.file, isinstance(one, BadLine)) for one in read] == [("other.csv", True), ("b.csv", False)]
    assert "there are: other" in read[0].error.message
    with pytest.raises(FileKindError):
        list(records_of(both[:1]))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("names", "kind", "columns", "says"),
    [
        (["nothing.jsonl"], None, None, "not there"),
        (["mails"], None, None, "folder"),
        (["nothing*.txt"], None, None, "no file matches"),
        (["b.csv"], None, None, "name the column"),
        (["-"], Kind.CSV, None, "name the column"),
        (["mails/1.txt"], None, Columns("body"), "--as csv"),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_is_submitted(names, kind, columns, says):
    with pytest.raises(typer.BadParameter, match=says):
        find_sources(names, kind, columns)


def test_standard_input_is_csv_where_a_column_is_named():
    assert find_sources(["-"], None, Columns("text"))[0].kind is Kind.CSV
    assert find_sources(["-"], None, None)[0].kind is Kind.JSONL
    assert total_of(find_sources(["-"], None, None)) is None


# ---------------------------------------------------------------- one text


def test_a_text_is_given_or_read_from_a_file(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(BOM + "grün\r\n".encode())

    assert read_text("hello") == "hello"
    assert read_text(None, file) == "grün\r\n"


@pytest.mark.parametrize(("text", "named"), [(None, False), ("x", True)])
def test_of_text_and_file_there_is_one(text, named, tmp_path):
    with pytest.raises(typer.BadParameter, match="one of them"):
        read_text(text, tmp_path if named else None)


def test_a_file_that_is_no_text_says_so(tmp_path):
    (tmp_path / "raw").write_bytes(b"\xff")

    with pytest.raises(typer.BadParameter, match="UTF-8"):
        read_text(None, tmp_path / "raw")
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        read_text(None, tmp_path)


def test_a_text_that_is_too_long_is_refused_before_it_is_read_whole(tmp_path):
    file = tmp_path / "long"
    file.write_bytes(b"x" * (limits.TEXT_BYTES[Lane.INTERACTIVE] + 4))

    with pytest.raises(ContractError, match="submit") as raised:
        read_text(None, file)
    assert raised.value.info.code is ErrorCode.TOO_LONG
    with pytest.raises(ContractError):
        read_text("x" * (limits.TEXT_BYTES[Lane.INTERACTIVE] + 1))


def test_the_digest_of_a_deep_body_is_taken_as_it_is():
    assert len(digest_of(b"[" * DEEP)) == 64
