"""G7: cells that a spreadsheet could take for a formula are guarded, phone numbers are not, and everything comes back."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.http import csv_cells
from portal.http.csv_cells import guard, unguard

SIGNS = "=+-@＝＋－＠"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-x",
        "@SUM(A1)",
        "＝1+1",
        "＋1",
        "－1",
        "＠x",
        " =1",
        "\u00a0=1",
        "\t=1",
        "\r=1",
        "<empty>",
        "'=1",
    ],
)
def test_a_formula_gets_a_quote(text):
    assert guard(text) == f"'{text}" or guard(text).startswith("'")


@pytest.mark.parametrize("text", ["a;=1+1", "a; =1", "a;＝1", "a\n=1", "a\r\n@x", "a\t-1"])
def test_so_does_one_behind_what_another_country_takes_for_the_end_of_a_cell(text):
    found = guard(text)
    assert found != text and unguard(found) == text
    for separator in ";\t\r\n":
        assert not any(part.lstrip(" \u00a0").startswith(tuple(SIGNS)) for part in found.split(separator)[1:])


@pytest.mark.parametrize(
    "blank", ['"', '""', '" ', "\u2003", "\u3000", "\ufeff", "\u200b", "\u2009\u00ad", "\u2028", "\x0b"]
)
@pytest.mark.parametrize("before", ["", "a;", "a\t", "a\n"])
def test_so_does_one_behind_what_a_spreadsheet_skips(before, blank):
    for sign in SIGNS:
        text = f"{before}{blank}{sign}1+1"
        assert guard(text) == f"{before}'{blank}{sign}1+1"
        assert unguard(guard(text)) == text


@pytest.mark.parametrize(
    "text", ["<empty>", " <EMPTY>", "<empty>\u00a0", "\t<empty>\n", "<em\u00adpty>", "\ufeff<empty>"]
)
def test_a_text_that_says_empty_does_not_come_back_as_nothing(text):
    found = guard(text)
    assert csv_cells.is_empty(text) and not csv_cells.is_empty(found) and unguard(found) == text


@pytest.mark.parametrize("text", ["x-y", "a=b", "O'Neil", "''two", "Delft", "", "a, -b", "5 > 3"])
def test_plain_text_stays_as_it_is(text):
    assert guard(text) == text


@settings(max_examples=2000, deadline=None)
@given(st.text(alphabet="'=+-@;, \t\r\n＝a<empty>\u00a0\"\u2003\u3000\ufeff\u00ad", max_size=16) | st.text())
def test_what_is_guarded_comes_back(text):
    assert unguard(guard(text)) == text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("+31 6 1234 5678", "+31 6 1234 5678"),
        ("+31 (0)20-555.01", "+31 (0)20-555.01"),
        ("+1 555 0100 ext 12", "+1 555 0100 ext 12"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-5", "'-5"),
        ("=1", "'=1"),
    ],
)
def test_a_phone_number_is_itself(cell, shown):
    text = "".join(csv_cells.write(("email", "phone", "city"), [("a@x.example", cell, cell)]))
    _, row = csv.reader(io.StringIO(text))
    assert row[1] == shown
    assert row[2].startswith("'")
    assert unguard(row[1]) == unguard(row[2]) == cell
