import jwt
import pytest
import requests
import requests_mock as mocking

from portal.errors import SourceAuthError, SourceError, SourceTransient
from portal.graph.clouds import CLOUDS, cloud
from portal.graph.explain import CODES, aadsts, consent_error, token_error
from portal.graph.tokens import TokenProvider, roles_of

TENANT = "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f"
LOCAL = cloud("global", login_url="https://127.0.0.1:9443/", graph_url="https://127.0.0.1:9443")
OPENID = f"https://127.0.0.1:9443/{TENANT}/v2.0/.well-known/openid-configuration"
TOKEN = f"https://127.0.0.1:9443/{TENANT}/oauth2/v2.0/token"
DISCOVERY = {
    "issuer": "https://127.0.0.1:9443/x",
    "authorization_endpoint": "https://127.0.0.1:9443/a",
    "token_endpoint": TOKEN,
}
SECRET = "hunter2-very-secret"


@pytest.fixture
def provider():
    return TokenProvider(cloud=LOCAL, directory_id=TENANT, client_id="app", credential=SECRET)


@pytest.fixture
def login():
    with mocking.Mocker() as mocker:
        mocker.get(OPENID, json=DISCOVERY)
        yield mocker


def test_a_token_is_kept_until_it_is_forgotten(provider, login):
    login.post(
        TOKEN,
        [
            {"json": {"access_token": "t1", "expires_in": 3600}},
            {"json": {"access_token": "t2", "expires_in": 3600}},
        ],
    )
    assert [provider.token(), provider.token(), provider.fresh()] == ["t1", "t1", "t2"]
    assert "scope=https%3A%2F%2F127.0.0.1%3A9443%2F.default" in login.request_history[1].text


@pytest.mark.parametrize("number", sorted(CODES))
def test_C4_every_known_code_says_what_to_do_and_keeps_its_number(provider, login, number):
    login.post(
        TOKEN,
        status_code=401,
        json={
            "error": "invalid_client",
            "error_codes": [number],
            "error_description": f"AADSTS{number}: {SECRET}",
        },
    )
    with pytest.raises((SourceAuthError, SourceTransient)) as caught:
        provider.token()
    assert f"AADSTS{number}" in caught.value.advice and SECRET not in caught.value.advice
    assert isinstance(caught.value, SourceTransient) is (CODES[number].kind == "try_later")


def test_C4_an_unknown_tenant_says_so(provider, login):
    login.get(
        OPENID, status_code=400, json={"error": "invalid_tenant", "error_description": "AADSTS90002: ..."}
    )
    with pytest.raises(SourceAuthError, match="no such Microsoft tenant"):
        provider.token()


@pytest.mark.parametrize(("status", "body"), [(403, "<html>blocked</html>"), (404, ""), (429, "{}")])
def test_C4_another_refusal_of_the_settings_is_not_taken_for_an_unknown_tenant(provider, login, status, body):
    login.get(OPENID, status_code=status, text=body)
    with pytest.raises(SourceTransient, match=f"HTTP {status}") as caught:
        provider.token()
    assert "no such Microsoft tenant" not in caught.value.advice


def test_C4_what_microsoft_says_of_the_tenant_is_said(provider, login):
    login.get(OPENID, status_code=400, json={"error": "x", "error_description": "AADSTS900023: neither"})
    with pytest.raises(SourceAuthError, match="neither a tenant id nor a domain"):
        provider.token()


def test_an_unreachable_login_is_tried_again_later(provider, login):
    login.get(OPENID, exc=requests.ConnectionError("refused"))
    with pytest.raises(SourceTransient, match="REQUESTS_CA_BUNDLE"):
        provider.token()


def test_a_login_that_fails_inside_is_tried_again_later(provider, login):
    login.post(TOKEN, status_code=503, text="<html>")
    with pytest.raises(SourceTransient):
        provider.token()


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (
            {"status_code": 400, "json": {"error": "temporarily_unavailable", "error_codes": [90033]}},
            2,
        ),  # a fault of a moment
        (
            {"status_code": 400, "json": {"error": "unauthorized_client", "error_codes": [700016]}},
            2,
        ),  # may be repaired by now
        (
            {
                "status_code": 429,
                "headers": {"Retry-After": "600"},
                "json": {"error": "temporarily_unavailable", "error_codes": [90055]},
            },
            1,
        ),
        ({"status_code": 503, "headers": {"Retry-After": "600"}, "text": "<html>"}, 1),
        (
            {"status_code": 400, "json": {"error": "invalid_grant", "error_codes": [50196]}},
            1,
        ),  # the same request too often
    ],
)
def test_G5_the_login_page_is_asked_again_when_it_may_be(provider, login, answer, asked):
    post = login.post(TOKEN, **answer)
    for _ in range(2):
        with pytest.raises(SourceError):
            provider.token()
    assert post.call_count == asked


def test_a_certificate_that_is_none_is_a_credential_problem(login):
    bad = TokenProvider(
        cloud=LOCAL,
        directory_id=TENANT,
        client_id="app",
        credential={"private_key": "x", "public_certificate": "y"},
    )
    with pytest.raises((SourceAuthError, SourceTransient)):
        bad.token()


def test_the_number_comes_from_the_list_or_the_text():
    assert aadsts({"error_codes": [7000222]}) == 7000222
    assert aadsts({"error_description": "AADSTS50020: no"}) == 50020
    assert aadsts({}) is None
    assert isinstance(token_error({"error": "server_error"}), SourceTransient)
    assert "AADSTS123456" in token_error({"error_codes": [123456]}).advice


def test_C2_a_declined_consent_in_words():
    assert "declined" in consent_error("consent_required", "AADSTS65004: The user declined")
    assert "declined" in consent_error("access_denied", "")
    assert "<b>" not in consent_error("<b>odd</b>", "")


def test_C2_C4_advice_names_the_button_of_the_page_it_is_on():
    names = {
        number: advice.text
        for number, advice in CODES.items()
        if "consent" in advice.text.lower() or "Reconnect" in advice.text
    }
    assert {700016, 7000229, 7000112} <= {
        number for number, text in names.items() if "press Reconnect" in text or "Press Reconnect" in text
    }
    for number in CODES:
        error = token_error({"error_codes": [number]})
        assert "Reconnect" not in error.advise("Ask for consent") + error.cause and error.cause.endswith(
            (".", ")")
        ), number
        assert f"(AADSTS{number})" in error.advice and f"(AADSTS{number})" in error.cause
    full = token_error({"error_codes": [7000229]})
    assert "Press Reconnect and let" in full.advice and "Press Ask for consent and let" in full.advise(
        "Ask for consent"
    )
    assert (
        full.cause
        == "This Microsoft tenant has not given the portal its consent, or withdrew it. (AADSTS7000229)"
    )


def test_roles_are_read_for_diagnostics():
    assert roles_of(jwt.encode({"roles": ["User.Read.All"]}, "k" * 32)) == {"User.Read.All"}
    assert roles_of(jwt.encode({}, "k" * 32)) == frozenset()
    assert roles_of("opaque") is None


def test_C5_clouds_come_from_one_table_and_only_https():
    assert cloud("us_gov").graph_url == "https://graph.microsoft.us"
    assert cloud("china", login_url="https://127.0.0.1:1") is CLOUDS["china"]
    assert (LOCAL.login_url, LOCAL.is_known) == ("https://127.0.0.1:9443", False)
    with pytest.raises(ValueError):
        cloud("global", graph_url="http://127.0.0.1")
    with pytest.raises(KeyError):
        cloud("moon")
