"""S3: one key for every text that serves as one, whatever cannot be seen in it."""

import re
import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portal.text import BLANKS, UNSEEN, domain_key, email_key, is_blank, search_forms, text_key

KEYS = (text_key, email_key, domain_key)
UNSEEN_LETTERS = (
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2066\u2069\u00ad\ufeff\u2060\x00\x07\ufe0f\U000e0041\ud800"
)
BLANK_LETTERS = " \t\n\r\u00a0\u2003\u202f\u3000\u2028\u3164\u2800"
hostile = st.text(
    st.one_of(
        st.characters(codec=None),
        st.sampled_from(
            UNSEEN_LETTERS + BLANK_LETTERS + "@.-ßẞİıſςΣéÅＡ＠。ǰΐﬃ\u0301\u0345\u0327\u1100\u1161👩💻❤مא"
        ),
        st.characters(max_codepoint=127),
    ),
    max_size=256,
)
MANY = settings(max_examples=400, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    "text",
    [
        "Sales & Marketing",
        "  sales  &   MARKETING ",
        "Sales\u00a0&\u2003Marketing",
        "\ufeffSales & Marketing",
        "Sa\u00adles & Mark\u200beting",
        "\u202aSales & Marketing\u202c",
        "Sales\u200f & \u2060Marketing\x00",
        "Sales\r\n&\tMarketing",
        "Sales \u200b & Marketing",
    ],
)
def test_S3_what_cannot_be_seen_makes_no_second_value(text):
    assert text_key(text) == "sales & marketing"


def test_S3_unicode_forms_and_capitals_are_one_value():
    assert text_key("Zo\u0065\u0308") == text_key("ZO\u00cb") == "zo\u00eb"
    assert text_key("E\u200b\u0301cole") == text_key("école")
    assert text_key("STRASSE") == text_key("straße")
    assert text_key("ΟΔΟΣ") == text_key("οδος") == text_key("οδοσ")


@pytest.mark.parametrize(
    ("one", "other"),
    [("m²", "m2"), ("Ａ", "A"), ("Café", "Cafe"), ("İ", "i"), ("Sales", "Sale s"), ("𝐀", "A")],
)
def test_S3_what_anybody_sees_apart_stays_apart(one, other):
    assert text_key(one) != text_key(other)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\ufeff \u00a0", "\u3164", "\x00\ud800"])
def test_S3_what_shows_nothing_is_blank(text):
    assert [key(text) for key in KEYS] == ["", "", ""]
    assert is_blank(text)


@pytest.mark.parametrize(
    "address",
    [
        "anna@müller.example",
        " Anna@MÜLLER.example\u00a0",
        "an\u200bna@mu\u0308ller.example",
        "anna@xn--mller-kva.example",
        "ANNA@XN--MLLER-KVA.EXAMPLE",
        "anna @\u00admüller。example",
        "anna@ｍüller.example",
    ],
)
def test_S3_an_address_is_one_in_whatever_form_its_domain_is_written(address):
    assert email_key(address) == "anna@xn--mller-kva.example"
    assert (
        email_key(address).rpartition("@")[2]
        == domain_key(address.partition("@")[2])
        == "xn--mller-kva.example"
    )


def test_domains_that_differ_are_two():
    assert email_key("a@straße.example") == "a@xn--strae-oqa.example" != email_key("a@strasse.example")


@pytest.mark.parametrize(
    "address",
    [
        "a@i❤️.example",  # no registry of most countries, but somebody's mail
        "a@xn--zzzzzzzzzz.example",
        "a@xn--.example",
        "a@" + "ü" * 64 + ".example",
        "a@" + "ü" * 5000,
        "a@" + "ü." * 200,
        "a@xn--" + "9" * 300,
        "@",
        "a@",
        "@@ü",
        "a@ü＠b",
        "a@..ü..",
        "a@" + "\u1e9b\u0323" * 128,  # folds to half as many letters
        "a@\u0301ü",
        "a@א1.example",
        "\ud800@\udfff\ud800",
        "👩‍💻@👩‍💻.example",
    ],
)
def test_a_domain_that_is_none_has_a_key_all_the_same(address):
    key = email_key(address)
    assert email_key(key) == key
    assert len(address) > 250 or key.rpartition("@")[2].isascii()


@MANY
@given(hostile)
@example("ß" * 255)
@example("a@ΐ\u0345.x")
def test_keys_never_raise_and_are_their_own_keys(text):
    for key in KEYS:
        found = key(text)
        assert key(found) == found
        assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in found)
        found.encode()  # can be stored
    assert is_blank(text) == (text_key(text) == "")


@MANY
@given(hostile, st.lists(st.tuples(st.integers(0, 300), st.sampled_from(UNSEEN_LETTERS)), max_size=6))
def test_S3_unseen_letters_change_no_key(text, put):
    other = text
    for place, letter in put:
        other = other[:place] + letter + other[place:]
    assert [key(other) for key in KEYS] == [key(text) for key in KEYS]


@MANY
@given(
    hostile, st.text(st.sampled_from(BLANK_LETTERS), min_size=1, max_size=4), st.sampled_from(["NFC", "NFD"])
)
def test_S3_blanks_around_and_unicode_forms_change_no_key(text, blanks, form):
    assert text_key(blanks + text + blanks) == text_key(text)
    assert text_key(text.replace(" ", blanks)) == text_key(text)
    assert text_key(unicodedata.normalize(form, text)) == text_key(text)
    assert email_key(blanks + text) == email_key(text)


@MANY
@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_the_short_way_of_ascii_gives_what_the_long_one_does(text):
    assert text_key(text) == text_key("é " + text).removeprefix("é").strip()
    assert email_key(text) == email_key("é" + text).removeprefix("é")
    assert domain_key(text) == domain_key("\u200b" + text)


def test_every_letter_that_unicode_calls_a_format_character_is_left_out_or_drawn():
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    out = re.compile(f"[{UNSEEN}{BLANKS}]")
    kept = {
        c
        for c in range(sys.maxunicode + 1)
        if unicodedata.category(chr(c)) in {"Cf", "Cc", "Cs", "Zs", "Zl", "Zp"} and not out.match(chr(c))
    }
    assert kept <= drawn
    assert not [c for c in range(sys.maxunicode + 1) if chr(c).isspace() and text_key(f"a{chr(c)}b") != "a b"]


def test_a_searched_domain_is_looked_for_in_both_forms():
    assert search_forms("anna") == ("anna",)
    assert search_forms("müller") == ("müller",)
    assert search_forms("@müller.example") == ("@müller.example", "@xn--mller-kva.example")
    assert search_forms("müller.example") == ("müller.example", "xn--mller-kva.example")
