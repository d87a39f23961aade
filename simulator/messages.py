"""What travels between the socket and the endpoints: one request, one response, two kinds of refusal."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

JSON_TYPE = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``path`` is decoded, header names are lower case, ``base`` is scheme, host and port."""

    method: str
    path: str
    query: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    base: str

    @classmethod
    def build(cls, method: str, target: str, headers: Mapping[str, str], body: bytes, base: str) -> Request:
        """A request for ``target``, a path with an optional query as it stands in the request line."""
        path, _, raw_query = target.partition("?")
        query = dict(parse_qsl(raw_query, keep_blank_values=True))
        return cls(method, unquote(path), query, raw_query, headers, body, base)

    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Response:
    """One HTTP answer. ``cut_at`` ends the connection after so many bytes of the body (a fault)."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer of the given document."""
    return Response(status, orjson.dumps(document), JSON_TYPE, dict(headers or {}))


def utc_now() -> datetime:
    """The simulator's clock."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """A moment as Graph writes it: seconds and ``Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class GraphError(Exception):
    """A refusal in Graph's error shape (docs/microsoft-graph.md, 10.3)."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def response(self, request_id: str, client_request_id: str) -> Response:
        """The answer that carries this refusal."""
        inner: dict[str, str] = {
            "date": utc_now().strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": client_request_id,
        }
        if self.status == 429:
            inner = {"code": "429", "message": "Please retry after", "status": "429", **inner}
        error = {"code": self.code, "message": self.message, "innerError": inner}
        return json_response({"error": error}, self.status, self.headers)


# AADSTS number -> (error field, HTTP status, sentence); docs/microsoft-graph.md, 1.5. Braces are filled by the caller.
AADSTS: dict[int, tuple[str, int, str]] = {
    7000215: (
        "invalid_client",
        401,
        (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            "not the client secret ID, for a secret added to app '{app}'."
        ),
    ),
    7000222: (
        "invalid_client",
        401,
        "The provided client secret keys for app '{app}' are expired. Create new keys for your app.",
    ),
    7000218: (
        "invalid_client",
        401,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    700021: (
        "invalid_client",
        401,
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    700023: ("invalid_client", 401, "Client assertion audience claim does not match Realm issuer."),
    700024: (
        "invalid_client",
        401,
        "Client assertion is not within its valid time range. Current time: {now}.",
    ),
    700027: (
        "invalid_client",
        401,
        (
            "The certificate with identifier used to sign the client assertion is not registered on application. "
            "[Reason - {reason}]"
        ),
    ),
    700030: ("invalid_client", 401, "Invalid certificate - subject name in certificate is not authorized."),
    50012: ("invalid_client", 401, "Authentication failed."),
    700016: (
        "unauthorized_client",
        400,
        (
            "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in it."
        ),
    ),
    7000229: (
        "invalid_client",
        401,
        "The client application {app} is missing service principal in the tenant {tenant}.",
    ),
    700011: ("unauthorized_client", 400, "Application with identifier {app} was not found in the directory."),
    7000112: ("unauthorized_client", 400, "Application '{app}'(Rollcall) is disabled."),
    70001: ("unauthorized_client", 400, "The application named {app} was not found or is disabled."),
    70003: ("unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."),
    70000: ("invalid_grant", 400, "The provided authorization code is malformed or not valid."),
    70008: ("invalid_grant", 400, "The provided authorization code has expired. Send a new sign-in request."),
    54005: ("invalid_grant", 400, "OAuth2 Authorization code was already redeemed, retry with a new code."),
    501481: (
        "invalid_grant",
        400,
        "The Code_Verifier does not match the code_challenge of the sign-in request.",
    ),
    500112: ("invalid_client", 401, "The reply address does not match the one of the authorization request."),
    90002: (
        "invalid_request",
        400,
        (
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud."
        ),
    ),
    900023: (
        "invalid_request",
        400,
        "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
    ),
    5000224: ("invalid_request", 400, "We are sorry, this resource is not available. The tenant is blocked."),
    90038: ("invalid_request", 400, "Tenant '{tenant}' request is being redirected to the national cloud."),
    900382: ("invalid_request", 400, "Confidential Client is not supported in Cross Cloud request."),
    500011: (
        "invalid_resource",
        400,
        "The resource principal named {resource} was not found in the tenant named {tenant}.",
    ),
    1002012: (
        "invalid_scope",
        400,
        (
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier."
        ),
    ),
    65001: (
        "invalid_grant",
        400,
        "The user or administrator has not consented to use the application '{app}'.",
    ),
    65004: ("access_denied", 400, "User declined to consent to access the app."),
    650051: ("invalid_request", 400, "The service principal for '{app}' is being created in the tenant."),
    650052: ("invalid_client", 400, "The organization lacks a service principal for the requested resource."),
    650056: ("invalid_client", 400, "Misconfigured application: the permissions of '{app}' are not listed."),
    90094: ("consent_required", 400, "An administrator of {tenant} has to consent to '{app}' first."),
    50194: (
        "unauthorized_client",
        400,
        "Application '{app}' is not configured as a multi-tenant application.",
    ),
    50011: (
        "invalid_request",
        400,
        (
            "The redirect URI '{redirect}' specified in the request does not match the redirect URIs configured for the "
            "application '{app}'."
        ),
    ),
    50020: ("invalid_request", 400, "User account '{user}' does not exist in tenant '{tenant}'."),
    50034: ("invalid_grant", 400, "The user account {user} does not exist in the directory."),
    50057: ("invalid_grant", 400, "The user account is disabled."),
    50058: ("interaction_required", 400, "A silent sign-in request was sent but no user is signed in."),
    53003: ("invalid_grant", 400, "Access has been blocked by Conditional Access policies."),
    900144: ("invalid_request", 400, "The request body must contain the following parameter: '{name}'."),
    9002313: ("invalid_request", 400, "Invalid request. Request is malformed or invalid."),
    9001023: (
        "invalid_request",
        400,
        (
            "The grant type is not supported over the /common or /consumers endpoints. Please use the tenant-specific "
            "endpoint."
        ),
    ),
    50196: (
        "invalid_grant",
        400,
        "The server terminated an operation because it encountered a client request loop.",
    ),
    90055: ("temporarily_unavailable", 429, "The tenant is temporarily throttled."),
    90033: ("temporarily_unavailable", 503, "A transient error has occurred. Please try again."),
    90024: ("temporarily_unavailable", 503, "A transient request budget was exceeded. Please try again."),
    50033: ("server_error", 500, "Retryable error: a transient fault occurred."),
}


class LoginError(Exception):
    """A refusal of the login service, by AADSTS number."""

    def __init__(self, code: int, **values: str) -> None:
        error, status, text = AADSTS.get(code, ("invalid_request", 400, "The request was refused."))
        filled = text
        for name, value in values.items():
            filled = filled.replace("{" + name + "}", value)
        super().__init__(f"AADSTS{code}: {filled}")
        self.code = code
        self.error = error
        self.status = status
        self.trace_id = str(uuid.uuid4())
        self.correlation_id = str(uuid.uuid4())
        self.timestamp = utc_now().strftime("%Y-%m-%d %H:%M:%SZ")

    @property
    def description(self) -> str:
        """The sentence with its trace, as ``error_description`` carries it."""
        return f"{self} Trace ID: {self.trace_id} Correlation ID: {self.correlation_id} Timestamp: {self.timestamp}"

    def response(self, base: str) -> Response:
        """The JSON body of the token and discovery endpoints."""
        document = {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.code],
            "timestamp": self.timestamp,
            "trace_id": self.trace_id,
            "correlation_id": self.correlation_id,
            "error_uri": f"{base}/error?code={self.code}",
        }
        return Response(
            self.status,
            orjson.dumps(document),
            "application/json; charset=utf-8",
            {"Cache-Control": "no-store, no-cache", "x-ms-request-id": self.trace_id},
        )
