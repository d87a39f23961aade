import pytest

from portal.engine import normalize
from portal.engine.normalize import clean, merge, parse_time, remote_values
from portal.engine.records import RemoteUser
from portal.graph import queries


def remote_user(raw):
    return RemoteUser(*remote_values(raw))


@pytest.mark.parametrize(
    ("raw", "email"),
    [
        ({"mail": " Mila@X.example "}, "Mila@X.example"),
        (
            {
                "mail": "m@x.example",
                "proxyAddresses": ["SMTP:P@x.example"],
                "userPrincipalName": "u@x.example",
            },
            "m@x.example",
        ),
        (
            {
                "mail": None,
                "proxyAddresses": ["smtp:a@x.example", "SMTP:P@x.example"],
                "userPrincipalName": "u@x.example",
            },
            "P@x.example",
        ),
        ({"userPrincipalName": "u@x.example", "otherMails": ["o@x.example"]}, "u@x.example"),
        (
            {"userPrincipalName": "jo_p.example#EXT#@t.onmicrosoft.com", "otherMails": ["jo@p.example"]},
            "jo@p.example",
        ),
        ({"userPrincipalName": "jo#ext#@t.onmicrosoft.com"}, ""),
        ({"mail": "no address"}, ""),
        ({"mail": "", "proxyAddresses": [], "otherMails": []}, ""),
    ],
)
def test_M1_email_is_mail_then_primary_proxy_then_upn_then_other_mails(raw, email):
    assert remote_user({"id": "A", **raw}).email == email


@pytest.mark.parametrize(
    ("mail", "email"),
    [
        ("a@x.example; b@x.example", "a@x.example"),
        ("a@x.example,b@x.example", "a@x.example"),
        ("a@x.example b@x.example", "a@x.example"),
        ("nobody; b@x.example;", "b@x.example"),
        ("Anna Smith <anna@x.example>", "anna@x.example"),
        ('"a;b@c"@x.example', '"a;b@c"@x.example'),
        ("an\u200bna@x.example", "an\u200bna@x.example"),
        ("anna smith@x.example", "upn@x.example"),
        ("a@b@x.example", "upn@x.example"),
        ("\u200b@x.example", "upn@x.example"),
        ("a@\u200b", "upn@x.example"),
        ("ß" * 700 + "@x.example", "upn@x.example"),
        (";,<@>", "upn@x.example"),
    ],
)
def test_M1_of_several_addresses_in_one_property_the_first_well_formed_one_is_taken(mail, email):
    assert remote_user({"id": "a", "mail": mail, "userPrincipalName": "upn@x.example"}).email == email


def test_M1_of_several_addresses_in_a_proxy_address_and_in_otherMails_too():
    assert remote_user({"id": "a", "proxyAddresses": ["SMTP:a@x.example;b@x.example"]}).email == "a@x.example"
    assert remote_user({"id": "a", "otherMails": ["x", "a@x.example, b@x.example"]}).email == "a@x.example"


def test_M2_an_alias_that_is_the_email_in_another_form_is_none():
    raw = {
        "id": "a",
        "mail": "m@müller.example",
        "proxyAddresses": ["SMTP:M@xn--mller-kva.example", "smtp:n@MÜLLER.example"],
    }
    assert remote_user(raw).aliases == ("n@xn--mller-kva.example",)


def test_M2_aliases_are_the_other_smtp_addresses():
    user = remote_user(
        {
            "id": "a",
            "mail": "m@x.example",
            "proxyAddresses": ["SMTP:M@x.example", "smtp:B@x.example", "SIP:c@x.example", "X500:/o=x"],
        }
    )
    assert user.aliases == ("b@x.example",)


def test_S4_a_null_user_type_counts_as_member():
    assert remote_user({"id": "a", "userType": None}).user_type == "Member"
    assert remote_user({"id": "a"}).user_type == "Member"


def test_G3_absent_keeps_and_null_clears_in_a_delta_but_not_in_a_full_read():
    old = {"id": "a", "department": "Sales", "city": "Utrecht"}
    assert merge(old, {"id": "a", "city": None}, full=False) == {"id": "a", "department": "Sales"}
    assert merge(old, {"id": "a", "city": "Delft"}, full=True) == {"id": "a", "city": "Delft"}


def test_G7_control_characters_go_and_the_rest_stays():
    hostile = "\x00=cmd|' /C'!A0\u202e<b>\U0001f600\x07"
    assert clean(hostile) == "=cmd|' /C'!A0\u202e<b>\U0001f600"
    assert clean("Kade 1\r\nUtrecht", lines=True) == "Kade 1\nUtrecht"
    assert clean("two\nlines") == "two lines"


@pytest.mark.parametrize("text", ["\u200b", " \u00a0\ufeff", "\u3164", "\u202e\u202c", "\n\u2028\u200d"])
def test_S3_what_shows_nothing_is_blank(text):
    assert (clean(text), clean(text, lines=True)) == ("", "")
    user = remote_user({"id": "a", "displayName": text, "department": text, "mail": text})
    assert (user.display_name, user.department, user.email) == ("", "", "")


def test_D3_license_ids_are_read_once_each_and_in_order():
    raw = {
        "id": "a",
        "assignedLicenses": [{"skuId": "B2"}, {"skuId": "a1"}, {"skuId": "b2", "disabledPlans": []}],
    }
    assert remote_user(raw).license_sku_ids == ("a1", "b2")


@pytest.mark.parametrize(
    "raw",
    [
        {"id": "a", "displayName": 5},
        {"id": "a", "proxyAddresses": "SMTP:x@y"},
        {"id": "a", "accountEnabled": "yes"},
        {"id": "a", "assignedLicenses": [{"sku": 1}]},
        {"displayName": "No id"},
        {"id": "a", "mail": {"x": 1}},
    ],
)
def test_G8_a_record_with_wrong_types_becomes_a_problem_and_never_raises(raw):
    assert remote_user(raw).problem


def test_a_null_account_enabled_is_unknown():
    assert remote_user({"id": "a", "accountEnabled": None}).account_enabled is None


def test_long_texts_are_cut_to_what_is_stored():
    assert len(remote_user({"id": "a", "displayName": "x" * 900}).display_name) == 256


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-10-30T06:58:11Z", "2026-10-30T06:58:11+00:00"),
        ("2026-10-30T06:58:11.1234567Z", "2026-10-30T06:58:11.123456+00:00"),
        ("2026-10-30T08:58:11+02:00", "2026-10-30T06:58:11+00:00"),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-30T06:58:11Z", None),
        ("yesterday", None),
        (None, None),
        (7, None),
    ],
)
def test_times_of_graph_are_read_tolerantly(text, shown):
    found = parse_time(text)
    assert (found.isoformat() if found else None) == shown


def test_every_property_that_is_read_is_selected():
    assert set(queries.USER_SELECT.split(",")) == set(normalize.SELECT)


def test_D1_every_field_of_a_person_is_read():
    user = remote_user(
        {
            "id": "A-1",
            "displayName": "Mila Brandt",
            "givenName": "Mila",
            "surname": "Brandt",
            "mail": "m@x.example",
            "businessPhones": ["+31 1"],
            "mobilePhone": "+31 6",
            "streetAddress": "Kade 12",
            "city": "Utrecht",
            "state": "UT",
            "postalCode": "3511",
            "country": "NL",
            "jobTitle": "Planner",
            "department": "Workshop",
            "officeLocation": "Hal 2",
        }
    )
    assert (user.first_name, user.last_name, user.phone, user.mobile_phone) == (
        "Mila",
        "Brandt",
        "+31 1",
        "+31 6",
    )
    assert (user.street_address, user.city, user.state, user.postal_code, user.country) == (
        "Kade 12",
        "Utrecht",
        "UT",
        "3511",
        "NL",
    )
    assert (user.job_title, user.department, user.office_location, user.object_id) == (
        "Planner",
        "Workshop",
        "Hal 2",
        "a-1",
    )
