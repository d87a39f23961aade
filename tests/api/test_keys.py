"""S3 at the doors: what looks like one is one, and what is no e-mail address is refused with the reason."""

import pytest

ZWSP, SHY, BOM, NBSP = "\u200b", "\u00ad", "\ufeff", "\u00a0"


@pytest.fixture
def reef(api):
    return api.made("/organizations", {"name": "Reef Research"})


def person(api, organization, **fields):
    return api.made(f"/organizations/{organization['id']}/end-users", fields)


def imported(api, organization, what, text):
    return api(
        "POST",
        f"/organizations/{organization['id']}/{what}/import",
        data=text.encode(),
        content_type="text/csv",
    )


@pytest.mark.parametrize("name", [f"Reef{NBSP}Research", f"REEF  re{SHY}search", f"{BOM}Reef Re{ZWSP}search"])
def test_P3_a_name_that_looks_the_same_is_taken(api, reef, name):
    assert list(api("POST", "/organizations", {"name": name})[1]["errors"]) == ["name"]
    assert list(api("POST", "/organizations", {"name": ZWSP})[1]["errors"]) == ["name"]


@pytest.mark.parametrize("name", ["ﬃ" * 256, "ΐ" * 256])
def test_P3_the_longest_name_has_a_key_that_fits(api, name):
    api.made("/organizations", {"name": name})


@pytest.mark.parametrize(
    "email",
    [
        f"an{ZWSP}n@müller.example",
        "ANN@mu\u0308ller.example",
        f" ann@xn--mller-kva.example{NBSP}",
        f"{BOM}ann@müller。example",
    ],
)
def test_M4_an_address_that_looks_the_same_is_taken(api, reef, email):
    made = person(api, reef, display_name="Ann", email="Ann@Müller.example")
    assert made["email"] == "Ann@Müller.example"
    status, document = api(
        "POST", f"/organizations/{reef['id']}/end-users", {"display_name": "B", "email": email}
    )
    assert (status, list(document["errors"])) == (422, ["email"])
    assert "already has this email address" in document["errors"]["email"][0]


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ann", "Enter one such as"),
        ("ann@x", "no dot"),
        ("a@x.example;b@x.example", "one address"),
        ("ann smith@x.example", "SPACE"),
        ("a..b@x.example", "two dots"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_by_every_door(api, reef, email, reason):
    status, document = api(
        "POST", f"/organizations/{reef['id']}/end-users", {"display_name": "A", "email": email}
    )
    assert (status, reason in document["errors"]["email"][0]) == (422, True)
    made = person(api, reef, display_name="B", email="b@corp.local")
    status, document = api("PATCH", f"/end-users/{made['id']}", {"email": email})
    assert (status, reason in document["errors"]["email"][0]) == (422, True)
    _, report = imported(api, reef, "end-users", f'email,display_name\n"{email}",A\n')
    assert [reason in line["reason"] for line in report["rejected"]] == [True]


def test_S3_a_file_finds_people_and_assets_whatever_cannot_be_seen_in_it(api, reef):
    ann = person(api, reef, display_name="Ann", email="ann@müller.example", city="Delft")
    api.made(f"/organizations/{reef['id']}/assets", {"name": "Mac Book"})
    _, report = imported(api, reef, "end-users", f"email,city\n{ZWSP}ANN@xn--mller-kva.example{NBSP},Gouda\n")
    assert (report["created"], report["updated"]) == (0, 1), report
    _, report = imported(api, reef, "assets", f"name,end_user_email\nMac{NBSP}Bo{SHY}ok,ann@MÜLLER.example\n")
    assert (report["created"], report["updated"]) == (0, 1), report
    assert api("GET", f"/end-users/{ann['id']}")[1]["assets"][0]["name"].startswith("Mac")


@pytest.mark.parametrize(
    "asked",
    [
        "zoë",
        f"ZO{ZWSP}E\u0308",
        f"zoë{NBSP} {SHY}brandt",
        "müller.example",
        "xn--mller-kva",
        "zoe@MÜLLER.example",
        f"key{BOM} account",
    ],
)
def test_P5_a_search_finds_what_looks_like_it(api, reef, asked):
    person(
        api,
        reef,
        display_name=f"Zo{ZWSP}ë{NBSP}Brandt",
        email="zoe@müller.example",
        job_title=f"Key{NBSP}Acc{SHY}ount",
    )
    assert api("GET", f"/organizations/{reef['id']}/end-users", query_string={"q": asked})[1]["total"] == 1


@pytest.mark.parametrize("email", [f"an{ZWSP}n@bücher.example", "ANN@xn--bcher-kva.example"])
def test_P10_an_account_is_one_in_whatever_form_its_address_is_typed(app, email):
    from portal.auth import service
    from portal.clock import utcnow
    from portal.errors import Invalid, Refused
    from portal.extensions import db

    with app.app_context():
        service.add_account(db.session(), email="Ann@Bücher.example", role="technician", now=utcnow())
        assert service.find_account(db.session(), email) is not None
        with pytest.raises(Refused):
            service.add_account(db.session(), email=email, role="technician", now=utcnow())
        with pytest.raises(Invalid) as caught:
            service.add_account(db.session(), email="ann@bücher", role="technician", now=utcnow())
        assert "no dot" in caught.value.errors["email"][0]
