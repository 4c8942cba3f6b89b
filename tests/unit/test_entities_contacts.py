"""Mail and web addresses and telephone numbers by rule."""

import pytest

from smallmesh.entities import LOCALES, REGIONS, rules_for


def found(kind, text, regions=REGIONS):
    return [(e.text, e.value) for e in rules_for(regions, LOCALES).find(text) if e.type.value == kind]


@pytest.mark.parametrize(
    ("text", "surface", "value"),
    [
        ("to ana.ruiz@Example.ORG, please", "ana.ruiz@Example.ORG", "ana.ruiz@example.org"),
        ("<Ana.Ruiz@example.org>", "Ana.Ruiz@example.org", "Ana.Ruiz@example.org"),
        ("'ana@example.org'", "ana@example.org", "ana@example.org"),
        ("mailto:ana@example.org?subject=x", "ana@example.org", "ana@example.org"),
        ("ana+list_5%x@example.org", "ana+list_5%x@example.org", "ana+list_5%x@example.org"),
        ("it's ana@example.org.", "ana@example.org", "ana@example.org"),
        ("ana@example.org.Then we", "ana@example.org", "ana@example.org"),
        ("jürgen@bücher.example", "jürgen@bücher.example", "jürgen@bücher.example"),
        ("ana@mail.internal", "ana@mail.internal", "ana@mail.internal"),
        ("电子邮件ana@example.org。", "ana@example.org", "ana@example.org"),
        ("ana@example.orgです", "ana@example.org", "ana@example.org"),
        ("用户@例子.公司", "用户@例子.公司", "用户@例子.公司"),
    ],
)
def test_a_mail_address_is_found_with_its_host_in_small_letters(text, surface, value):
    assert found("EMAIL", text) == [(surface, value)]


@pytest.mark.parametrize(
    "text", ["@ana", "ana@", "ana@example", "ana@@example.org", "@ana@social.example", "a..b@example.org", "5 @ 3.20", "x@1.2"]
)
def test_what_only_looks_like_a_mail_address_is_none(text):
    assert found("EMAIL", text) == []


@pytest.mark.parametrize(
    ("text", "surface", "value"),
    [
        ("see HTTP://Example.ORG/Path?q=A.", "HTTP://Example.ORG/Path?q=A", "http://example.org/Path?q=A"),
        ("(https://example.org/a_(b))", "https://example.org/a_(b)", "https://example.org/a_(b)"),
        ("https://User:Pw@Example.org:8080/x", "https://User:Pw@Example.org:8080/x", "https://User:Pw@example.org:8080/x"),
        ("http://localhost:8080/x", "http://localhost:8080/x", "http://localhost:8080/x"),
        ("http://10.0.0.7:9090/graph", "http://10.0.0.7:9090/graph", "http://10.0.0.7:9090/graph"),
        ("ftp://example.org/a", "ftp://example.org/a", "ftp://example.org/a"),
        ("at www.Example.org/Path!", "www.Example.org/Path", "http://www.example.org/Path"),
        ("on example.com, today", "example.com", "http://example.com"),
        ("example.co.uk", "example.co.uk", "http://example.co.uk"),
        ("example.it/shop", "example.it/shop", "http://example.it/shop"),
        ("日本語https://example.jp/道 です", "https://example.jp/道", "https://example.jp/道"),
        ("https://example.org/👍/x", "https://example.org/👍/x", "https://example.org/👍/x"),
        ("https://example.org\u200f.", "https://example.org", "https://example.org"),
        ("https://example.org/a\x00b", "https://example.org/a", "https://example.org/a"),
    ],
)
def test_a_web_address_is_found_with_a_scheme_and_its_host_in_small_letters(text, surface, value):
    assert found("URL", text) == [(surface, value)]


@pytest.mark.parametrize(
    "text", ["README.md", "main.py", "the end.So we", "day.it was", "3.14", "e.g. this", "U.S.", "http://", "a.b", "node.js"]
)
def test_what_only_looks_like_a_web_address_is_none(text):
    assert found("URL", text) == []


@pytest.mark.parametrize(
    ("text", "surface", "value"),
    [
        ("at 415-555-0132.", "415-555-0132", "+14155550132"),
        ("(415) 555-0132", "(415) 555-0132", "+14155550132"),
        ("415.555.0132", "415.555.0132", "+14155550132"),
        ("1-800-555-0132", "1-800-555-0132", "+18005550132"),
        ("+44 20 7946 0958", "+44 20 7946 0958", "+442079460958"),
        ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958", "+442079460958"),
        ("020 7946 0958", "020 7946 0958", "+442079460958"),
        ("02079460958", "02079460958", "+442079460958"),
        ("03012345678", "03012345678", None),  # valid in GB and DE alike, and no grouping tells
        ("0171 2345678", "0171 2345678", "+491712345678"),
        ("030/12345678", "030/12345678", "+493012345678"),
        ("(030) 12345678", "(030) 12345678", "+493012345678"),
        ("+33 1 84 17 61 18", "+33 1 84 17 61 18", "+33184176118"),
        ("tel. 416 60 039", "416 60 039", None),
        ("phone: 4155550132", "4155550132", None),
        ("call me on 9472 7916?", "9472 7916", None),
        ("9472 7916 (mobile)", "9472 7916", None),
    ],
)
def test_a_telephone_number_is_found_in_e164_where_its_country_is_told(text, surface, value):
    assert found("PHONE", text) == [(surface, value)]


def test_two_numbers_parted_by_a_slash_are_two():
    assert found("PHONE", "030 12345678 / 0171 2345678") == [("030 12345678", "+493012345678"), ("0171 2345678", "+491712345678")]


@pytest.mark.parametrize(
    "text",
    [
        "order 3141592653",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "078-05-1120",
        "2024-03-14 10:00",
        "14.03.2024",
        "10.12.14.1",
        "$1234567",
        "1234567 %",
        "ISBN 978-3-16-148410-0",
        "12345",
        "id0171 2345678x",
    ],
)
def test_a_number_of_another_kind_is_no_telephone_number(text):
    assert found("PHONE", text) == []


def test_the_regions_say_whose_numbers_need_no_prefix():
    text = "01 84 17 61 18"

    assert found("PHONE", text, regions=("US",)) == []
    assert found("PHONE", text, regions=("FR",)) == [(text, "+33184176118")]
    assert found("PHONE", "03012345678", regions=("DE",)) == [("03012345678", "+493012345678")]
