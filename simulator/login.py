"""The login service: discovery, tokens, sign-in and admin consent (docs/microsoft-graph.md, 1)."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from simulator import login_discovery, login_pages, login_tokens
from simulator.login_discovery import SHARED
from simulator.login_tokens import Code
from simulator.messages import LoginError, Request, Response, utc_now
from simulator.objects import User
from simulator.tenant import Principal, Tenant
from simulator.tokens import Issued, TokenBook, base64url, check_assertion, key_set
from simulator.world import World

GRAPH_RESOURCES = ("00000003-0000-0000-c000-000000000000",)
NATIONAL_GRAPHS = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
)
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PATH = re.compile(r"^/([^/]+)/(.+)$")
_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_DOMAIN = re.compile(r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")


class Login:
    """Answers every login address of one world."""

    def __init__(self, world: World, tokens: TokenBook) -> None:
        self.world = world
        self.tokens = tokens
        self._codes: dict[str, Code] = {}
        self._lock = threading.Lock()

    def handle(self, request: Request, *, without_roles: bool = False) -> Response | None:
        """The answer, or None when the path is none of login's; tokens carry no roles when told so."""
        match = _PATH.match(request.path)
        if match is None:
            return None
        name, rest = match[1], match[2].lower()
        try:
            if rest == "discovery/instance":
                return _json(login_discovery.instances(request.base))
            if rest in {"discovery/v2.0/keys", "discovery/keys"}:
                return _json(key_set())
            if rest == "v2.0/.well-known/openid-configuration":
                key = name.lower() if name.lower() in SHARED else self._resolve(name).id
                return _json(login_discovery.configuration(request.base, key))
            if rest == "oauth2/v2.0/token":
                return self._token(request, name, without_roles=without_roles)
            if rest == "oauth2/v2.0/authorize":
                return self._authorize(request, name)
            if rest in {"adminconsent", "v2.0/adminconsent"}:
                return self._consent(request, name, is_v2=rest.startswith("v2.0"))
        except LoginError as error:
            if rest.endswith("authorize"):
                return login_pages.error_page(error.description, error.status)
            return error.response(request.base)
        return None

    def tenant_of(self, request: Request) -> Tenant | None:
        """The tenant a login address names, for faults and the log."""
        match = _PATH.match(request.path)
        return self.world.tenant(match[1]) if match else None

    def _resolve(self, name: str) -> Tenant:
        tenant = self.world.tenant(name)
        if tenant is not None:
            return tenant
        if _GUID.match(name) or _DOMAIN.match(name):
            raise LoginError(90002, tenant=name)
        raise LoginError(900023, tenant=name)

    # Tokens

    def _token(self, request: Request, name: str, *, without_roles: bool) -> Response:
        if request.method != "POST":
            raise LoginError(900144, name="grant_type")
        form = request.form()
        grant = _needed(form, "grant_type")
        _needed(form, "client_id")
        if grant == "client_credentials":
            if name.lower() in SHARED:
                raise LoginError(9001023)
            return self._app_token(request, self._resolve(name), form, without_roles=without_roles)
        if grant == "authorization_code":
            return self._user_tokens(request, name, form)
        raise LoginError(70003, grant=grant)

    def _app_token(
        self, request: Request, tenant: Tenant, form: Mapping[str, str], *, without_roles: bool
    ) -> Response:
        client_id = form["client_id"]
        audience = _audience(_needed(form, "scope"), request.base, tenant)
        principal = self._principal(tenant, client_id)
        self._check_credential(request, tenant, form)
        now = utc_now()
        seconds = 3600 + secrets.randbelow(1800)
        issued = Issued(
            tenant.id,
            client_id,
            audience,
            frozenset() if without_roles else frozenset(principal.roles),
            now,
            now + timedelta(seconds=seconds),
        )
        answer = {"token_type": "Bearer", "expires_in": seconds - 1, "ext_expires_in": seconds - 1}
        return _json({**answer, "access_token": self.tokens.issue(issued)})

    def _principal(self, tenant: Tenant, client_id: str) -> Principal:
        if client_id.lower() != self.world.app.client_id:
            raise LoginError(700016, app=client_id, tenant=tenant.name)
        if tenant.principal is None:
            raise LoginError(7000229 if tenant.was_consented else 700016, app=client_id, tenant=tenant.name)
        if not tenant.principal.is_enabled:
            raise LoginError(7000112, app=client_id)
        return tenant.principal

    def _check_credential(self, request: Request, tenant: Tenant | None, form: Mapping[str, str]) -> None:
        app = self.world.app
        if assertion := form.get("client_assertion"):
            if form.get("client_assertion_type") != _ASSERTION_TYPE:
                raise LoginError(900144, name="client_assertion_type")
            named = {request.path.split("/")[1], *((tenant.id, *tenant.domains) if tenant else ())}
            audiences = {f"{request.base}/{key}/oauth2/v2.0/token" for key in named}
            check_assertion(
                assertion, client_id=app.client_id, audiences=audiences, certificates=app.certificates
            )
            return
        value = form.get("client_secret")
        if not value:
            raise LoginError(7000218)
        secret = next((secret for secret in app.secrets if secrets.compare_digest(secret.value, value)), None)
        if secret is None:
            raise LoginError(7000215, app=app.client_id)
        if secret.expires_at <= utc_now():
            raise LoginError(7000222, app=app.client_id)

    def _user_tokens(self, request: Request, name: str, form: Mapping[str, str]) -> Response:
        app = self.world.app
        if form["client_id"].lower() != app.client_id:
            raise LoginError(700016, app=form["client_id"], tenant=name)
        self._check_credential(request, self.world.tenant(name), form)
        with self._lock:
            code = self._codes.get(_needed(form, "code"))
            if code is None:
                raise LoginError(70000)
            if code.is_used:
                raise LoginError(54005)
            if code.expires_at < utc_now():
                raise LoginError(70008)
            if form.get("redirect_uri") != code.redirect_uri:
                raise LoginError(500112)
            digest = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
            if code.challenge and digest != code.challenge:
                raise LoginError(501481)
            code.is_used = True
        tenant = self.world.tenants[code.tenant_id]
        user = tenant.directory.users.get(code.user_id)
        if user is None:
            raise LoginError(50034, user=code.user_id)
        return _json(login_tokens.signed_in(self.tokens, app.client_id, request.base, tenant, user, code))

    # Sign-in

    def _authorize(self, request: Request, name: str) -> Response:
        parameters = {**request.query, **(request.form() if request.method == "POST" else {})}
        tenant = None if name.lower() in SHARED else self._resolve(name)
        redirect_uri = self._check_client(parameters)
        if "code" not in parameters.get("response_type", "").split():
            return _back(
                parameters, redirect_uri, _error_values("unsupported_response_type", LoginError(9002313))
            )
        hint = parameters.get("login_hint", "").strip().lower()
        if not hint and parameters.get("prompt") == "none":
            return _back(parameters, redirect_uri, _error_values("login_required", LoginError(50058)))
        account = self._account(hint) if hint else None
        if account is None:
            path = f"/{name}/oauth2/v2.0/authorize"
            return login_pages.account_page(path, parameters, self._accounts(tenant))
        home, user = account
        if tenant is not None and home.id != tenant.id:
            error = LoginError(50020, user=hint, tenant=tenant.name)
            return login_pages.error_page(error.description)
        if user.props.get("accountEnabled") is False:
            return login_pages.error_page(LoginError(50057).description)
        if home.principal is None:
            refusal = LoginError(90094, tenant=home.name, app=self.world.app.client_id)
            return _back(parameters, redirect_uri, _error_values("consent_required", refusal))
        code = secrets.token_urlsafe(48)
        with self._lock:
            self._codes[code] = Code(
                home.id,
                user.id,
                redirect_uri,
                parameters.get("code_challenge", ""),
                parameters.get("nonce", ""),
                parameters.get("scope", "openid profile"),
                utc_now() + timedelta(minutes=10),
            )
        return _back(parameters, redirect_uri, {"code": code, "session_state": secrets.token_hex(16)})

    def _check_client(self, parameters: Mapping[str, str]) -> str:
        """The redirect URI, when client and address are registered. Raises LoginError, shown as a page."""
        client_id, redirect_uri = parameters.get("client_id", ""), parameters.get("redirect_uri", "")
        if client_id.lower() != self.world.app.client_id:
            raise LoginError(700016, app=client_id, tenant="organizations")
        registered = self.world.app.redirect_uris
        if registered is not None:
            is_known = redirect_uri in registered
        else:
            parts = urlsplit(redirect_uri)
            is_local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
            is_known = bool(parts.hostname) and (is_local or parts.scheme == "https")
        if not is_known:
            raise LoginError(50011, redirect=redirect_uri, app=client_id)
        return redirect_uri

    def _account(self, hint: str) -> tuple[Tenant, User] | None:
        domain = hint.rpartition("@")[2]
        for tenant in self.world.tenants.values():
            if domain in tenant.domains:
                for user in tenant.directory.users.values():
                    if str(user.props["userPrincipalName"]).lower() == hint:
                        return tenant, user
        return None

    def _accounts(self, tenant: Tenant | None) -> Iterator[tuple[str, str, str]]:
        """A few accounts to choose from: the administrator first, enabled members after."""
        tenants = [tenant] if tenant else [self.world.tenants[key] for key in self.world.tenant_ids]
        most = 6 if tenant else 3
        for home in tenants:
            members = (
                user
                for user in home.directory.users.values()
                if user.props.get("accountEnabled")
                and user.props.get("userType") == "Member"
                and user.purpose
            )
            for user, _ in zip(members, range(most), strict=False):
                yield user.props["userPrincipalName"], user.props["displayName"], home.name

    # Admin consent

    def _consent(self, request: Request, name: str, *, is_v2: bool) -> Response:
        parameters = {**request.query, **(request.form() if request.method == "POST" else {})}
        try:
            tenant = None if name.lower() in SHARED else self._resolve(name)
            redirect_uri = self._check_client(parameters)
        except LoginError as error:
            return login_pages.error_page(error.description, error.status)
        if is_v2 and not parameters.get("scope", "").strip().endswith("/.default"):
            return login_pages.error_page(LoginError(1002012, scope=parameters.get("scope", "")).description)
        if tenant is None:
            tenant = self.world.tenant(parameters.get("tenant", ""))
        decision = parameters.get("decision") if request.method == "POST" else None
        if decision is None or tenant is None:
            chosen = [] if tenant else [(home.id, home.name) for home in self.world.tenants.values()]
            roles = self.world.consented_roles(tenant) if tenant else self.world.app.roles
            carried = {key: value for key, value in parameters.items() if key not in {"decision", "tenant"}}
            return login_pages.consent_page(request.path, carried, sorted(roles), chosen)
        values = {"state": parameters["state"]} if "state" in parameters else {}
        if decision == "accept":
            self._grant(tenant)
            values = {"admin_consent": "True", "tenant": tenant.id, **values}
            if is_v2:
                values["scope"] = parameters["scope"]
        elif decision == "cancel":
            values = {
                "error": "permission_denied",
                "error_description": "The admin canceled the request",
                **values,
            }
        else:
            refusal = _error_values("consent_required", LoginError(65004))
            values = {**refusal, "admin_consent": "True", "tenant": tenant.id, **values}
        return _redirect(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(values)}")

    def _grant(self, tenant: Tenant) -> None:
        with tenant.lock:
            tenant.principal = Principal(self.world.consented_roles(tenant))
            tenant.was_consented = True


def _json(document: Any) -> Response:
    return Response(
        200,
        orjson.dumps(document),
        "application/json; charset=utf-8",
        {"Cache-Control": "no-store, no-cache"},
    )


def _redirect(address: str) -> Response:
    return Response(302, b"", "text/html; charset=utf-8", {"Location": address})


def _needed(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise LoginError(900144, name=name)
    return value


def _audience(scope: str, base: str, tenant: Tenant) -> str:
    """The resource a ``/.default`` scope names. Raises LoginError."""
    if not scope.endswith("/.default") or " " in scope:
        raise LoginError(1002012, scope=scope)
    resource = scope.removesuffix("/.default").rstrip("/")
    if resource in GRAPH_RESOURCES or resource.lower() == base:
        return base
    if resource in NATIONAL_GRAPHS:
        return resource
    raise LoginError(500011, resource=resource, tenant=tenant.name)


def _error_values(error: str, refusal: LoginError) -> dict[str, str]:
    return {"error": error, "error_description": refusal.description}


def _back(parameters: Mapping[str, str], redirect_uri: str, values: Mapping[str, str]) -> Response:
    """Send the browser back to the application in the mode it asked for."""
    complete = {**values, **({"state": parameters["state"]} if "state" in parameters else {})}
    match parameters.get("response_mode", "query"):
        case "form_post":
            return login_pages.post_back(redirect_uri, complete)
        case "fragment":
            return _redirect(f"{redirect_uri}#{urlencode(complete)}")
        case _:
            return _redirect(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(complete)}")
