"""S3 in the database: what is searched in a column is compared as texts are everywhere."""

import pytest
from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from portal.http.listing import contains_text
from portal.models.keys import KeyOf
from portal.text import BLANKS, UNSEEN, text_key


@pytest.fixture
def session(engine):
    with Session(engine) as opened:
        yield opened


@pytest.mark.parametrize(
    "text",
    [
        "Sales",
        "Sa\u00adles \u00a0 \u200b& \ufeffMarketing\u3164!",
        "E\u200b\u0301COLE",
        "Straße ΟΔΟΣ",
        "a\\b'c%_[x]^-",
        "x" + "x".join(c for c in BLANKS if c != "-") + "x",
        "x".join(c for c in UNSEEN if c not in "-\x00\ud800\udfff") + "x",
        "\U000e0041\u206f\ufe0f 👩‍💻",
    ],
)
def test_S3_a_column_has_the_key_that_the_text_has(session, text):
    assert session.scalar(select(KeyOf(literal(text)))).strip() == text_key(text)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Human\u00a0Re\u200bsources", "human  resources"),
        ("Zoe\u0308", "ZOË"),
        ("a@xn--mller-kva.example", "a@müller.example"),
    ],
)
def test_P5_a_search_finds_what_looks_like_it(session, text, asked):
    assert session.scalar(select(contains_text(asked, literal(text))))
    assert not session.scalar(select(contains_text(asked + "x", literal(text))))
