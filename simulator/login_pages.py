"""The two small pages of the login service: pick an account, grant consent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from simulator.messages import HTML_TYPE, Response

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1b1a19}"
    "main{border:1px solid #c8c6c4;padding:2rem}button{font:inherit;padding:.5rem 1rem;margin:.25rem 0;"
    "display:block;width:100%;text-align:left}select{font:inherit;padding:.4rem;width:100%}small{color:#605e5c}"
)


def page(title: str, content: str, status: int = 200) -> Response:
    """A whole page; ``content`` is HTML already."""
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{content}</main></body></html>"
    )
    return Response(status, document.encode(), HTML_TYPE, {"Cache-Control": "no-store"})


def fields(values: Mapping[str, str]) -> str:
    """Hidden form fields."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in values.items()
    )


def error_page(text: str, status: int = 400) -> Response:
    """The page Entra shows when it cannot send the browser back."""
    return page("Sorry, but we're having trouble with signing you in.", f"<p>{escape(text)}</p>", status)


def account_page(action: str, query: Mapping[str, str], accounts: Iterable[tuple[str, str, str]]) -> Response:
    """The account picker; accounts are (sign-in name, display name, tenant name)."""
    carried = {name: value for name, value in query.items() if name != "login_hint"}
    buttons = "".join(
        f'<button name="login_hint" value="{escape(upn)}">{escape(name)}<br><small>{escape(upn)} · {escape(tenant)}'
        "</small></button>"
        for upn, name, tenant in accounts
    )
    return page(
        "Pick an account", f'<form method="get" action="{escape(action)}">{fields(carried)}{buttons}</form>'
    )


def consent_page(
    action: str,
    values: Mapping[str, str],
    roles: Iterable[str],
    tenants: Iterable[tuple[str, str]],
) -> Response:
    """The consent prompt; ``tenants`` (id, name) to choose from when the link named none."""
    choices = "".join(f'<option value="{escape(key)}">{escape(name)}</option>' for key, name in tenants)
    chooser = (
        f'<p><label>Organization <select name="tenant">{choices}</select></label></p>' if choices else ""
    )
    listed = "".join(f"<li>{escape(role)}</li>" for role in roles)
    return page(
        "Permissions requested",
        f'<p>Rollcall asks for these application permissions:</p><ul>{listed}</ul><form method="post" '
        f'action="{escape(action)}">{fields(values)}{chooser}'
        '<button name="decision" value="accept">Accept</button>'
        '<button name="decision" value="decline">Decline</button>'
        '<button name="decision" value="cancel">Cancel</button></form>',
    )


def post_back(address: str, values: Mapping[str, str]) -> Response:
    """A page that posts the answer to the application (response_mode=form_post)."""
    return page(
        "Working...",
        f'<form method="post" action="{escape(address)}">{fields(values)}<button>Continue</button></form>'
        "<script>document.forms[0].submit()</script>",
    )
