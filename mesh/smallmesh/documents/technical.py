"""Logs, stack traces, source code and encoded data in a text: what a machine wrote for a machine."""

import re

from smallmesh.documents.page import Page

# --- logs -------------------------------------------------------------------------------------------------------------

_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?:\s?Z|\s?[+-]\d\d:?\d\d)?"
_MOMENT = rf"\[?(?:\d{{4}}[-/]\d\d[-/]\d\d[T ])?{_CLOCK}\]?"
_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|SEVERE|PANIC)"
_LOG = re.compile(
    rf"\s*+(?:{_MOMENT}(?:(?!:\s)[^\n]){{0,60}}?\b{_LEVEL}\b|"  # a time and a level, but no "Ana: " between
    r"\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d[.,]\d{3}\b|"  # milliseconds: nobody chats with those
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w./@-]+(?:\[\d+\])?:|"  # syslog
    r"\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:|"  # access log
    rf"\[?{_LEVEL}\]?\s+(?:\[[^\]\n]*\]\s*)?[\w$-]+(?:\.[\w$-]+)+\s*[:-]\s|{_LEVEL}:[\w.]+:\S|"  # a level and a logger's name
    r"(?:time|ts|level|lvl|msg)=\S|\[\s*\d+\.\d{6}\]\s|npm (?:ERR!|WARN))"
)

# --- stack traces -----------------------------------------------------------------------------------------------------

_FRAME = re.compile(
    r"(?:\s+at [\w.$<>\[\]/ ]{1,200}\(|\s*at \S+:\d+:\d+|\s+at \S.{0,150} in .{1,150}:line \d+|\s*File \"[^\"\n]{1,300}\", line \d+|"
    r"\s*+\.\.\. \d+ (?:more|common frames)|Caused by: (?:[\w$]+\.)+[\w$]+|Exception in thread \"|\s+from \S+:\d+:in |goroutine \d+ \[|"
    r"\s+\S+\.(?:go|rs|rb|py|js|ts|cpp?|java):\d+)"
)
_TRACEBACK = re.compile(r"\s*+Traceback \(most recent call last\):\s*$")
_EXCEPTION = re.compile(
    r"\s*+(?:Uncaught |Unhandled (?:exception|rejection)[.: ]*)?(?:[\w$]+\.)*[\w$]*"
    r"(?:Error|Exception|Throwable|Warning|Interrupt|Exit|Fault)\b(?::|\s*$)"
)

# --- code -------------------------------------------------------------------------------------------------------------

_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_ARMOUR = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{3,40}-----\s*$")
_CODE = re.compile(
    r"\s*+(?:(?:public|private|protected|internal|static|final|abstract|async|export|override)\s+[\w<>\[\]]+[\s(]|"
    r"(?:def|func|fn|function|class|interface|struct|enum|namespace|package|module)\s+[\w.:$]+\s*[({:;<]|"
    r"import\s++[\w.{}*,]++(?:;|\s++(?:as|from)\s++\S|\s*+$)|from\s+[\w.]+\s+import\s|using\s+[\w.]+;|"
    r"#\s?(?:include|define|ifdef|endif)\b|"
    r"(?:const|let|var|val|auto|int|float|double|string|char|bool)\s++[\w$\[\]{},]++(?: [\w$\[\]{},]++)*+\s*+=|"
    r"(?:if|for|while|switch|catch|elif|else if)\s*\(.*\)\s*+\{?\s*+$|(?:else|try|finally|do)\s*[{:]\s*$|"
    r"(?:return|throw|raise|yield|await)\b.*;\s*$|"
    r"(?:SELECT\s.*|INSERT INTO\s.*|UPDATE\s\w+\s+SET\s.*|DELETE FROM\s.*|CREATE TABLE\s.*)|"
    r"(?:(?:FROM|WHERE|JOIN|GROUP BY|ORDER BY|VALUES)\s.*[=(;,].*)|"
    r"[\w.$\[\]\"'>-]+\s*(?:[-+*/|]?=|:=)\s*[^=\s].*;\s*$|"
    r"[\w.$]+\([^()\n]*\)(?:\.[\w.$]+\([^()\n]*\))*+\s*+;?\s*+$|"
    r"\"[\w .$-]+\"\s*:\s*\S|[{}\[\]()]+[,;]?\s*$|.*[{]\s*$|.*\)\s?(?:=>|->)|@@ -\d|(?:\+\+\+|---) [ab]/|"
    r"</?[\w:-]+(?:\s[^<>]*)?>.*(?:</[\w:-]+>|/>)\s*$|\$ [a-z][\w./-]*(?:\s|$)|>>> \S|//|/\*)"
)
_LEAST_CODE = 3
"""Fewer lines may be an example within a sentence."""

# --- encoded data -----------------------------------------------------------------------------------------------------

_BLOB = re.compile(r"[A-Za-z0-9+/_=-]{200,}")
_BLOB_LINE = re.compile(r"\s*+[A-Za-z0-9+/]{40,}={0,2}\s*$")
_BLOB_END = re.compile(r"\s*+[A-Za-z0-9+/]{1,80}={1,2}\s*$")
_HEX_LINE = re.compile(r"\s*+[0-9a-fA-F]{4,8}:?\s+(?:[0-9a-fA-F]{2,4}\s+){6,}")


def mark_technical(page: Page) -> None:
    """Claim the lines of logs and traces (``log``), of code and of encoded data (``code``)."""
    _mark_fenced(page)
    _mark_blobs(page)
    _mark_traces(page)
    for index in page.free():
        if _LOG.match(page.rows[index].text):
            page.claim(index, index + 1, "log")
    _mark_code(page)


def _mark_fenced(page: Page) -> None:
    """Claim what stands between fences; one that is never closed is only a line."""
    opened: int | None = None
    closes = ""
    for index, row in enumerate(page.rows):
        armour = _ARMOUR.match(row.text)
        mark = armour.group(1) if armour else row.text.strip()[:3] if _FENCE.match(row.text) else ""
        if opened is not None and mark == closes:
            page.claim(opened, index + 1, "code")
            opened = None
        elif opened is None and mark and mark != "END":
            opened, closes = index, "END" if mark == "BEGIN" else mark


def _mark_blobs(page: Page) -> None:
    for index in page.free():
        row = page.rows[index]
        wrapped = bool(_BLOB_LINE.match(row.text)) and _is_mixed(row.text)
        ends = (
            index > 0
            and page.owners[index - 1] == "code"
            and bool(_BLOB_LINE.match(page.rows[index - 1].text) and _BLOB_END.match(row.text))
        )
        if ends or _HEX_LINE.match(row.text) or (wrapped and _has_neighbour(page, index)):
            page.claim(index, index + 1, "code")
        elif len(row.text) >= 200:  # noqa: PLR2004 - the pattern's own least length
            for match in _BLOB.finditer(row.text):
                if _is_mixed(match.group()):
                    page.cut(row.start + match.start(), row.start + match.end(), "code")


def _has_neighbour(page: Page, index: int) -> bool:
    near = page.rows[max(0, index - 1) : index] + page.rows[index + 1 : index + 2]
    return any(_BLOB_LINE.match(row.text) for row in near)


def _is_mixed(text: str) -> bool:
    """Whether large and small letters and digits are all there: a long word or a rule of dashes is no encoded data."""
    return any(map(str.isdigit, text)) and any(map(str.isupper, text)) and any(map(str.islower, text))


def _mark_traces(page: Page) -> None:
    rows = page.rows
    index = 0
    while index < len(rows):
        end = index + 1
        if _TRACEBACK.match(rows[index].text):
            while end < len(rows) and rows[end].text[:1].isspace() and not rows[end].gap:
                end += 1
            page.claim(index, min(end + 1, len(rows)), "log")
        elif _FRAME.match(rows[index].text) and (rows[index].text[0] != " " or _frame_near(page, index)):
            page.claim(index, end, "log")
            if index and _EXCEPTION.match(rows[index - 1].text):
                page.claim(index - 1, index, "log")
        index = end


def _frame_near(page: Page, index: int) -> bool:
    before = index > 0 and (page.owners[index - 1] == "log" or bool(_EXCEPTION.match(page.rows[index - 1].text)))
    return before or (index + 1 < len(page.rows) and bool(_FRAME.match(page.rows[index + 1].text)))


def _mark_code(page: Page) -> None:
    """Claim runs of lines that begin and end as code does and are mostly code."""
    run: list[int] = []
    misses = 0
    for index in page.free():
        is_code = bool(_CODE.match(page.rows[index].text))
        if run and (index != run[-1] + misses + 1 or misses > 1):
            _claim_run(page, run)
            run, misses = [], 0
        if is_code:
            run.append(index)
            misses = 0
        elif run:
            misses += 1
    _claim_run(page, run)


def _claim_run(page: Page, run: list[int]) -> None:
    if len(run) >= _LEAST_CODE:
        page.claim(run[0], run[-1] + 1, "code")
