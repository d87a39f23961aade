"""Files as people have them: whatever can be understood is read, the rest is refused with advice."""

import pytest

from portal.errors import Invalid
from portal.imports import sheet
from portal.imports.kinds import IMPORTERS

COLUMNS = IMPORTERS["end_users"].columns


def cells(text, columns=COLUMNS):
    return [(row.line, dict(row.cells)) for row in sheet.read(text, columns)]


def refusal(data):
    with pytest.raises(Invalid) as caught:
        list(sheet.read(sheet.decode(data), COLUMNS))
    (text,) = caught.value.errors["file"]
    return text


@pytest.mark.parametrize(
    "text",
    [
        "email,display_name\nann@x.example,Ann\n",
        "\ufeffemail,display_name\nann@x.example,Ann\n",
        "email;display_name\r\nann@x.example;Ann\r\n",
        "email\tdisplay_name\nann@x.example\tAnn",
        '"email","display_name"\n"ann@x.example","Ann"\n',
        "EMAIL, Display_Name \nann@x.example,Ann\n",
        "Email,Name\nann@x.example,Ann\n",
        "Email,Display name\nann@x.example,Ann\n",
        "Email,Display\u00a0Name\nann@x.example,Ann\n",
        "email,display_name,,,\nann@x.example,Ann,,,\n",
        "email,display_name,,\nann@x.example,Ann\n",
        "email,display_name,source,id\nann@x.example,Ann,sync,1\n",
    ],
)
def test_spellings_of_one_file_read_the_same(text):
    ((line, found),) = cells(text)
    assert (line, found["email"], found["display_name"]) == (2, "ann@x.example", "Ann")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n\n,,\nemail,city\nann@x.example,Delft\n", 5),
        ("sep=;\r\nemail;city\r\nann@x.example;Delft\r\n", 3),
        ('"sep=;"\nemail;city\nann@x.example;Delft\n', 3),
        ("\n\nsep=|\nemail|city\nann@x.example|Delft\n", 5),
        ("email,city\rann@x.example,Delft\r", 2),
        ("email,city\r\r\rann@x.example,Delft\r", 4),
        ('email,city,notes\n"ann@x.example",Delft,"two\nlines"\n', 2),
    ],
)
def test_what_stands_above_and_between_does_not_matter(text, line):
    ((at, found),) = cells(text)
    assert (at, found["email"], found["city"]) == (line, "ann@x.example", "Delft")


def test_a_row_after_one_of_two_lines_keeps_its_own_number():
    rows = cells('email,notes\na@x.example,"two\nlines"\nb@x.example,one\n')
    assert [line for line, _ in rows] == [2, 4]


def test_every_label_of_the_pages_is_understood():
    from portal.end_users.forms import EndUserForm
    from portal.end_users.service import EDITABLE
    from portal.engine.explain import FIELD_LABELS

    labels = {name: str(getattr(EndUserForm, name).args[0]) for name in EDITABLE}
    for name in EDITABLE:
        assert COLUMNS.find(labels[name]) == name
        assert COLUMNS.find(FIELD_LABELS.get(name, name)) == name
        assert COLUMNS.find(name.replace("_", " ").title()) == name
    assert IMPORTERS["assets"].columns.find("MAC addresses") == "mac_addresses"
    assert IMPORTERS["assets"].columns.find("Asset") == "name"


@pytest.mark.parametrize(
    "row", ["ann@x.example,Ann", "ann@x.example", "ann@x.example,Ann,Delft,Oops", "a@x.example,b,c,"]
)
def test_a_row_of_another_length_is_named_and_not_read(row):
    (found,) = sheet.read(f"email,display_name,city\n{row}\n", COLUMNS)
    assert (found.line, dict(found.cells)) == (2, {})
    assert "cells" in found.problem


def test_a_blank_cell_is_no_cell_and_one_word_empties():
    ((_, found),) = cells("email,city,phone,notes\na@x.example, ,<empty>,'<empty>\n")
    assert found == {"email": "a@x.example", "phone": "", "notes": "<empty>"}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ("Jürgen".encode("cp1252"), "CSV UTF-8"),
        ("email\n".encode("utf-16"), "UTF-16"),
        ("email\n".encode("utf-16-be"), "CSV UTF-8"),
        (b"email\n\x00", "NUL"),
        (b"", "email"),
        (b"name\nx", "email"),
        (b"email,salary\na@x.example,1", "salary"),
        (b"email,,city\na@x.example,,Delft", "blank"),
        (b"email,Email\na,b", "twice"),
        (b'email\n"x', "Line 2"),
        (b"sep=;\n", "email"),
    ],
)
def test_what_is_no_usable_file_is_refused_with_advice(data, word):
    assert word in refusal(data)


def test_a_million_blank_lines_take_no_time():
    rows = sheet.read("\n" * 1_000_000 + "email\na@x.example\n", COLUMNS)
    assert [row.line for row in rows] == [1_000_002]


@pytest.mark.parametrize(
    "header",
    [
        "," * 3_000_000,
        "x," * 1_000_000,
        "email" + ";" * 200,
        "email\t" * 201,
        "email," + "x" * 70_000,
        'email,"' + "x\n" * 40_000 + '"',
    ],
)
def test_a_first_line_that_names_no_columns_is_refused_before_any_is_looked_up(header, monkeypatch):
    looked_up = []
    monkeypatch.setattr(sheet.Columns, "find", lambda _self, cell: looked_up.append(cell))
    assert "at most 200" in refusal(f"email{header}\nann@x.example\n".encode())
    assert len(looked_up) < 5  # one cell, by a separator that is none


@pytest.mark.parametrize(
    "word",
    ["<empty>", "<EMPTY> ", "\u00a0<empty>\u00a0", "<empty>\t", "<empty>\u200b", "\ufeff<Empty>\u3000"],
)
def test_the_word_that_empties_a_field_is_known_by_its_key(word):
    ((_, found),) = cells(f"email,city\nann@x.example,{word}\n")
    assert found["city"] == ""
