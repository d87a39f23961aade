"""E-mail addresses at the doors: letters of any script, domains of one's own, and the reason when it is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal import addresses
from portal.addresses import SHAPE, problem, tidy


@pytest.mark.parametrize(
    "address",
    [
        "anna@contoso.example",
        "o'neill+tag@x.example",
        "ann@corp.local",
        "a@rollcall.test",
        "root@localhost",
        "ännä@müller.example",
        "a@xn--mller-kva.example",
        "用户@例子.example",
        "jo_p.example#EXT#@t.onmicrosoft.com",
    ],
)
def test_an_address_is_accepted(address):
    assert problem(address) == ""


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "Enter one such as name@example.com."),
        ("anna", "Enter one such as name@example.com."),
        ("anna@contoso", "no dot"),
        ("a@x.example, b@x.example", "one address"),
        ("a@b@x.example", "one address"),
        ("anna smith@x.example", "SPACE"),
        ("@x.example", "before the @"),
        ("anna@", "after the @"),
        ("a..b@x.example", "two dots"),
        ("a@-x.example", "hyphen"),
        ("Anna <anna@x.example>", "angle brackets"),
        ("a@[192.0.2.1]", "bracketed IP address"),
        ("a" * 65 + "@x.example", "too long before the @"),
        ("a@" + "b" * 300 + ".example", "too long after the @"),
        ("a@b_c.example", "'_'"),
        ("a@xn--\u00fc.example", ""),
        ("a\x00@x.example", "U+0000"),
        ("a\ud800@x.example", "U+D800"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(address, reason):
    found = problem(address)
    assert found.startswith(SHAPE.partition(".")[0])
    assert reason in found
    assert "@-sign" not in found
    found.encode()


def test_what_cannot_be_seen_is_left_out_before():
    assert tidy("\ufeff\u202a anna@\u200bx.example\u202c\u00a0") == "anna@x.example"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.one_of(st.characters(codec=None), st.sampled_from("@.xn--ü\u200b")), max_size=300))
def test_nothing_raises(text):
    assert len(problem(tidy(text))) < 400


PLAIN = st.text(st.sampled_from("aB3._+-"), min_size=1, max_size=70)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    PLAIN,
    st.one_of(
        PLAIN,
        st.sampled_from(
            [
                "x.example",
                "xn--a.example",
                "ab--c.example",
                "localhost",
                "a" * 64 + ".example",
                "a." * 122 + "example",
            ]
        ),
    ),
)
def test_what_passes_without_the_library_would_pass_with_it(local, domain):
    address = f"{local}@{domain}"
    assert problem(address) == addresses._judged(address)  # noqa: SLF001


def test_a_domain_is_judged_once(monkeypatch):
    asked = []
    judged = addresses._judged  # noqa: SLF001
    monkeypatch.setattr(addresses, "_judged", lambda address: (asked.append(address), judged(address))[1])
    addresses._is_good_domain.cache_clear()  # noqa: SLF001
    assert [problem(f"p{n}@many.example") for n in range(50)] == [""] * 50
    assert asked == ["a@many.example"]
