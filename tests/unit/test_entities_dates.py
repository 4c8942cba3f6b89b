"""Dates by rule: what counts as one, and its ISO 8601 form."""

import pytest

from smallmesh.entities import LOCALES, REGIONS, rules_for


def dates(text, regions=REGIONS, locales=LOCALES):
    return [(e.text, e.value) for e in rules_for(regions, locales).find(text) if e.type.value == "DATE"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # day, month, year
        ("14 March 2024", "2024-03-14"),
        ("14th of March, 2024", "2024-03-14"),
        ("March 14, 2024", "2024-03-14"),
        ("March the 14th 2024", "2024-03-14"),
        ("Mar. 14 2024", "2024-03-14"),
        ("fourteenth of March 2024", "2024-03-14"),
        ("Thursday, 14 March 2024", "2024-03-14"),
        ("Thu, 14 Mar 2024", "2024-03-14"),
        ("14-Mar-2024", "2024-03-14"),
        ("14-Mar-24", "2024-03-14"),
        ("2024 March 14", "2024-03-14"),
        ("29 February 2024", "2024-02-29"),
        ("MARCH 14, 2024", "2024-03-14"),
        # digits
        ("2024-03-14", "2024-03-14"),
        ("2024/03/14", "2024-03-14"),
        ("3/14/2024", "2024-03-14"),
        ("14/03/2024", "2024-03-14"),
        ("14.03.2024", "2024-03-14"),
        ("14. 3. 2024", "2024-03-14"),
        ("14.03.24", "2024-03-14"),
        ("3/14/99", "1999-03-14"),
        ("04.03.2024", "2024-03-04"),  # of the regions, one alone writes dots
        ("5/5/2024", "2024-05-05"),  # the same day in either order
        # parts
        ("March 2024", "2024-03"),
        ("Mar '24", "2024-03"),
        ("03/2024", "2024-03"),
        ("2024-03", "2024-03"),
        ("14 March", "--03-14"),
        ("July 4th", "--07-04"),
        ("29 February", "--02-29"),
        ("September", "--09"),
        ("Q3 2024", "2024-Q3"),
        ("2024-Q3", "2024-Q3"),
        ("Q3/2024", "2024-Q3"),
        ("third quarter of 2024", "2024-Q3"),
        ("week 12 of 2024", "2024-W12"),
        ("2024-W12", "2024-W12"),
        # other languages
        ("14. März 2024", "2024-03-14"),
        ("Donnerstag, den 14. März 2024", "2024-03-14"),
        ("Do, 14.3.2024", "2024-03-14"),
        ("KW 12/2024", "2024-W12"),
        ("3. Quartal 2024", "2024-Q3"),
        ("drittes Quartal 2024", "2024-Q3"),
        ("jeudi 14 mars 2024", "2024-03-14"),
        ("1er janvier 2024", "2024-01-01"),
        ("deuxième trimestre 2024", "2024-Q2"),
        ("T3 2024", "2024-Q3"),
        ("jueves 14 de marzo de 2024", "2024-03-14"),
        ("giovedì 14 marzo 2024", "2024-03-14"),
        ("1º marzo 2024", "2024-03-01"),
        ("donderdag 14 maart 2024", "2024-03-14"),
        ("5 mei", "--05-05"),
        ("quinta-feira, 14 de março de 2024", "2024-03-14"),
        ("14 fe\u0301vrier 2024", "2024-02-14"),
        ("١٤ March ٢٠٢٤", "2024-03-14"),
        # from the day of writing
        ("tomorrow", None),
        ("day after tomorrow", None),
        ("this evening", None),
        ("next Friday", None),
        ("last month", None),
        ("past three years", None),
        ("in 6 days", None),
        ("in about two weeks", None),
        ("in 2 weeks and 3 days", None),
        ("three days ago", None),
        ("5 days from now", None),
        ("Tuesday in a week", None),
        ("übermorgen", None),
        ("vor drei Wochen", None),
        ("nächste Woche Freitag", None),
        ("il y a trois semaines", None),
        ("lundi prochain", None),
        ("dentro de diez días", None),
        ("pasado mañana", None),
        ("tra dieci giorni", None),
        ("over twee weken", None),
        ("daqui a dez dias", None),
        # neither
        ("Thursday", None),
        ("1990s", None),
        ("2019-2023", None),
        ("3\u20136 January 2024", None),
    ],
)
def test_a_date_is_found_whole_with_as_much_of_iso_8601_as_it_says(text, value):
    assert dates(text) == [(text, value)]
    assert dates(f"We meet ({text}), then.") == [(text, value)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on the 19th at noon", ("19th", "---19")),
        ("from 2019 on", ("2019", "2019")),
        ("seit 2019", ("2019", "2019")),
        ("depuis 2019", ("2019", "2019")),
        ("the Budget Act of 2019 says", ("2019", "2019")),
        ("published (2019)", ("2019", "2019")),
        ("in May we rest", ("May", "--05")),
        ("en mai, fais", ("mai", "--05")),
        ("am 14.03. um neun", ("14.03.", "--03-14")),
        ("due on 3/14", ("3/14", "--03-14")),
        ("at 2024-03-14T10:00:00Z", ("2024-03-14", "2024-03-14")),
        ("Let's do August 24, 2018 then", ("August 24, 2018", "2018-08-24")),
        ("dell'8 maggio 2024", ("8 maggio 2024", "2024-05-08")),
        ("in Q3 we grew", ("Q3", None)),
        ("on March\n14, 2024", ("March\n14, 2024", "2024-03-14")),
        ("on March\r\n14, 2024", ("March\r\n14, 2024", "2024-03-14")),
        ("31 February 2024", ("February 2024", "2024-02")),
    ],
)
def test_a_part_of_a_date_is_one_where_the_words_beside_it_say_so(text, found):
    assert dates(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "May I come in?",
        "It may 5 times fail",
        "5 may be late",
        "we march 3 miles",
        "3 out of 5",
        "5 days",
        "for 3 nights",
        "over five years",
        "in 2000 cases",
        "in 2000 people",
        "the 19th floor",
        "in the 9th, with one out",
        "came in 3rd",
        "April Jones sings",
        "version 1.2.13",
        "10.12.14.1",
        "1/2 cup, 24/7",
        "30/02/2024",
        "99/99/2024",
        "order 4711-2024-03-14-7",
        "guten Morgen",
        "my last day here",
        "room 2024",
        "the sun sat on the set",
        "in an hour",
        "1,2024",
        "Audi Q3",
    ],
)
def test_what_only_looks_like_a_date_is_none(text):
    assert dates(text) == []


@pytest.mark.parametrize(
    ("regions", "value"),
    [(("US",), "2024-03-04"), (("GB",), "2024-04-03"), (("US", "GB", "DE"), None), (("DE",), "2024-04-03")],
)
def test_the_regions_say_whether_the_day_comes_first_and_where_they_differ_there_is_no_value(regions, value):
    assert dates("3/4/2024", regions=regions) == [("3/4/2024", value)]


def test_a_locale_without_words_of_its_own_has_the_names_that_babel_knows():
    assert dates("torsdag 14 mars 2024, om 3 dagar", locales=("sv",)) == [("torsdag 14 mars 2024", "2024-03-14"), ("om 3 dagar", None)]


def test_a_language_that_is_not_set_is_not_read():
    assert dates("14 mars", locales=("en",)) == []
