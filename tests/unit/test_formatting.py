"""How numbers, times and names are shown (G7)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.http import formatting

NOW = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (999, "999"), (1312, "1,312"), (1234567, "1,234,567"), (None, "–")]
)
def test_numbers_have_thousands_and_nothing_is_a_dash(value, shown):
    assert formatting.number(value) == shown


def test_percent_is_of_what_there_is():
    assert formatting.percent(31, 104, 1) == "29.8%"
    assert formatting.percent(61, 139) == "44%"
    assert formatting.percent(0, 0) == "–"


@pytest.mark.parametrize(
    ("count", "word", "shown"),
    [
        (1, "End User", "1 End User"),
        (0, "End User", "0 End Users"),
        (2, "company", "2 companies"),
        (2, "day", "2 days"),
        (1312, "Link", "1,312 Links"),
    ],
)
def test_words_agree_with_their_number(count, word, shown):
    assert formatting.plural(count, word) == shown


def test_a_word_may_bring_its_own_plural():
    assert formatting.plural(3, "person", "people") == "3 people"


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=14), "14 hours ago"),
        (timedelta(hours=15), "Yesterday"),
        (timedelta(hours=38), "Yesterday"),
        (timedelta(hours=39), "2 days ago"),
        (timedelta(days=6, hours=23, minutes=59), "7 days ago"),
        (timedelta(days=7), "17 Nov, 14:02"),
        (timedelta(days=400), "20 Oct 2025"),
        (timedelta(minutes=-36), "14:38"),
        (timedelta(days=-27), "21 Dec, 14:02"),
    ],
)
def test_times_are_relative_for_seven_days_and_future_ones_by_the_clock(ago, shown):
    assert formatting.relative(NOW - ago, NOW, UTC) == shown


def test_days_are_those_of_the_viewer():
    eve = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)  # the 24th already, east of here
    night = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    assert formatting.relative(eve, night, UTC) == "Yesterday"
    assert formatting.relative(eve, night, ZoneInfo("Asia/Tokyo")) == "9 hours ago"


def test_a_clock_time_has_its_day_once_it_is_another():
    zone = ZoneInfo("Europe/Berlin")
    assert formatting.clock_text(NOW, NOW, zone) == "15:02"
    assert formatting.clock_text(NOW + timedelta(hours=12), NOW, zone) == "25 Nov, 03:02"


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u2028", "\ud800"])
def test_G7_signs_that_hide_or_reorder_are_replaced(sign):
    shown = formatting.harmless(f"A{sign}B")
    assert shown == "A\ufffdB"
    assert shown.encode() != b""


def test_G7_names_of_every_script_stay_as_they_are():
    for name in ("نورة الحربي", "佐藤 美咲", "Łukasz\u00a0Wiśniewski", "👩‍👩‍👧", "Line\nbreak\tTab"):
        assert formatting.harmless(name) == name


def test_G7_a_name_is_fenced_and_escaped():
    assert formatting.bdi("<b>x\u202e") == "<bdi>&lt;b&gt;x\ufffd</bdi>"


def test_nothing_is_a_dash_but_zero_is_zero():
    assert [formatting.or_dash(value) for value in (None, "", 0, "x")] == ["–", "–", 0, "x"]


def test_D3_sign_in_methods_are_words_each_once_and_new_ones_can_be_read():
    methods = [
        "microsoftAuthenticatorPush",
        "microsoftAuthenticatorPasswordless",
        "mobilePhone",
        "voiceOfGod",
    ]
    assert formatting.mfa_methods(methods) == "Microsoft Authenticator, phone, voice of god"
    assert formatting.mfa_methods([]) == ""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "Unknown"),
    ],
)
def test_a_browser_is_named_as_its_owner_would(said, shown):
    assert formatting.browser(said) == shown
