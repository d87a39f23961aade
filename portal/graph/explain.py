"""Microsoft's codes in words (C4; docs/microsoft-graph.md, 1.5): what it means and what the administrator does about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from portal.errors import SourceAuthError, SourceError, SourceTransient

Kind = Literal["credential", "not_consented", "disabled", "wrong_tenant", "try_later", "other"]


@dataclass(frozen=True)
class Advice:
    """kind groups codes by what helps; cause says what happened and what to do; minutes: may pass by itself right after consent.

    remedy: which button of the portal helps, as ``{button}``: pages call it differently before and after connecting (C2, C3).
    """

    kind: Kind
    cause: str
    minutes: bool = False
    remedy: str = ""

    @property
    def text(self) -> str:
        """All of it, for the page of a connected tenant."""
        return f"{self.cause} {self.remedy.format(button='Reconnect')}".rstrip()


_ASK = "Press {button} and let their administrator accept the permissions."
_ASK_TOO = "Or press {button} and let them accept the permissions."
_WRONG_VALUE = "Microsoft does not accept the portal's client secret. Enter the secret's Value, not its Secret ID, in Settings; check that nothing was cut off."
_CERT = "Microsoft does not accept the portal's certificate. Upload it to the app registration, compare the thumbprints, and check this server's clock."
_CONSENT = "This Microsoft tenant has not given the portal its consent, or withdrew it."
_DISABLED = "The customer turned off the portal's app. Ask their administrator to turn on 'Enabled for users to sign-in' on the enterprise application."
_NO_TENANT = "There is no such Microsoft tenant. Check the tenant id or domain, and whether it belongs to another cloud."
_LATER = "Microsoft's sign-in has a temporary problem. The portal tries again by itself."
_REGISTRATION = "The permissions of the app registration are not set up right. Compare them with the list in Settings, then consent again."

CODES: Mapping[int, Advice] = {
    7000215: Advice("credential", _WRONG_VALUE),
    7000222: Advice(
        "credential",
        "The portal's client secret has expired. Create a new one in the app registration and enter it in Settings.",
    ),
    7000218: Advice(
        "credential",
        "Microsoft received no secret or certificate from the portal. Enter one in Settings, and make sure that the app is not a public client.",
    ),
    700027: Advice("credential", _CERT),
    700030: Advice("credential", _CERT),
    700024: Advice(
        "credential",
        "Microsoft refuses the portal's certificate because this server's clock is wrong. Correct the clock.",
    ),
    50012: Advice("credential", _CERT),
    700016: Advice(
        "not_consented",
        "Microsoft does not know the portal's app in this tenant: consent was not given, or the client id or the tenant is wrong.",
        minutes=True,
        remedy=_ASK,
    ),
    7000229: Advice("not_consented", _CONSENT, minutes=True, remedy=_ASK),
    700011: Advice("not_consented", _CONSENT, minutes=True, remedy=_ASK),
    65001: Advice("not_consented", _CONSENT, remedy=_ASK),
    65004: Advice(
        "not_consented",
        "The administrator declined. Start again, and let them accept the permissions that the page lists.",
    ),
    90094: Advice(
        "not_consented",
        "An administrator must consent: send them the consent link from Settings.",
    ),
    90095: Advice(
        "not_consented",
        "The request waits for the customer's own approval workflow. Try again once their administrator approved it.",
    ),
    90099: Advice(
        "not_consented",
        "The app is not approved for partner access to this customer. Let the customer's administrator consent.",
    ),
    7000112: Advice("disabled", _DISABLED, remedy=_ASK_TOO),
    70001: Advice("disabled", _DISABLED, remedy=_ASK_TOO),
    90002: Advice("wrong_tenant", _NO_TENANT),
    900023: Advice(
        "wrong_tenant",
        "This is neither a tenant id nor a domain. Enter the tenant's GUID or one of its verified domains.",
    ),
    5000224: Advice("wrong_tenant", "This Microsoft tenant was deleted or suspended."),
    90038: Advice(
        "wrong_tenant",
        "This Microsoft tenant belongs to another cloud. Connect it again with that cloud chosen.",
    ),
    900382: Advice(
        "wrong_tenant",
        "An app registration works in its own cloud only. Register the app in that cloud as well.",
    ),
    900432: Advice(
        "wrong_tenant",
        "An app registration works in its own cloud only. Register the app in that cloud as well.",
    ),
    500011: Advice(
        "wrong_tenant",
        "Microsoft Graph is not known in this tenant under that address: the wrong cloud is chosen.",
    ),
    650051: Advice(
        "try_later",
        "Microsoft is still creating the app in this tenant. Try again in a few minutes.",
        minutes=True,
    ),
    650052: Advice(
        "other",
        "The tenant lacks a subscription for one of the permissions. Remove that permission from the app registration.",
    ),
    650056: Advice("other", _REGISTRATION),
    650057: Advice("other", _REGISTRATION),
    65005: Advice("other", _REGISTRATION),
    50194: Advice(
        "other",
        "The app registration is for one tenant only. Set it to 'Accounts in any organizational directory'.",
    ),
    50011: Advice(
        "other",
        "The redirect address is not on the app registration. Add the exact address that Settings shows.",
    ),
    50020: Advice(
        "other",
        "This account belongs to another tenant. Sign in with an account of the right tenant.",
    ),
    50034: Advice("other", "There is no such account in this tenant. Check the account and the tenant."),
    50053: Advice("other", "The account is locked. Ask an administrator of that tenant to unlock it."),
    50055: Advice("other", "The account's password has expired. Renew it, then sign in again."),
    50056: Advice("other", "The account has no password. Ask an administrator of that tenant to set one."),
    50057: Advice("other", "The account is disabled. Ask an administrator of that tenant to enable it."),
    50076: Advice("other", "Multi-factor authentication is required. Complete it in the browser."),
    50079: Advice("other", "Multi-factor authentication must be set up for the account first."),
    50105: Advice(
        "other", "The account is not assigned to the app. Assign it, or turn off 'Assignment required'."
    ),
    50126: Advice("other", "The user name or password is not correct. Sign in again."),
    53003: Advice(
        "other", "Conditional Access blocks this. Ask the customer's administrator to adjust the policy."
    ),
    54005: Advice("other", "This sign-in was used already. Start again."),
    900144: Advice(
        "other", "Microsoft found the portal's request incomplete. This is a fault of the portal: report it."
    ),
    90013: Advice(
        "other", "Microsoft found an error in the portal's request. This is a fault of the portal: report it."
    ),
    9002313: Advice(
        "other",
        "Microsoft could not read the portal's request. Enter the secret again: it may hold a cut-off character.",
    ),
    9001023: Advice("other", "A token needs a tenant of its own. This is a fault of the portal: report it."),
    50196: Advice("try_later", "Microsoft saw the same request too often. Wait a few minutes."),
    90055: Advice("try_later", _LATER),
    90033: Advice("try_later", _LATER),
    90006: Advice("try_later", _LATER),
    90012: Advice("try_later", _LATER),
    90024: Advice("try_later", _LATER),
    50033: Advice("try_later", _LATER),
}


def aadsts(result: Mapping[str, Any]) -> int | None:
    """The number that decides: the first of ``error_codes``, else the one in the description."""
    codes = result.get("error_codes")
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return codes[0]
    match = re.search(r"AADSTS(\d+)", str(result.get("error_description", "")))
    return int(match.group(1)) if match else None


def token_error(result: Mapping[str, Any]) -> SourceError:
    """What a refused token request means."""
    number = aadsts(result)
    if number is None:
        return SourceTransient(
            "Microsoft's sign-in gave no usable answer. The portal tries again by itself.",
            code=str(result.get("error", ""))[:60],
        )
    advice = CODES.get(number)
    code = f"AADSTS{number}"
    if advice is None:
        return SourceAuthError(
            f"Microsoft refuses the portal's sign-in for a reason the portal does not know ({code}). Look up the code, then check the connection again.",
            code=code,
        )
    if advice.kind == "try_later":
        return SourceTransient(f"{advice.text} ({code})", code=code)
    if advice.remedy:
        return SourceAuthError(advice.cause, remedy=advice.remedy, code=code)
    return SourceAuthError(f"{advice.cause} ({code})", code=code)


def advice_of(error: SourceError) -> Advice | None:
    """What is known of the code that Microsoft's sign-in refused with; None for any other error."""
    return CODES.get(aadsts({"error_description": error.code}) or 0)


def is_credential(error: SourceError) -> bool:
    """True when Microsoft refuses the secret or certificate itself, in whichever tenant it was shown."""
    advice = advice_of(error)
    return advice is not None and advice.kind == "credential"


def consent_error(error: str, description: str) -> str:
    """What a refused admin consent means, in words; the shapes vary, so nothing is taken for granted."""
    number = aadsts({"error_description": description})
    explained = CODES.get(number) if number is not None else None
    if explained is not None:
        return f"{explained.text} (AADSTS{number})"
    if error in {"consent_required", "access_denied", "permission_denied"}:
        return f"{CODES[65004].text} ({error})"
    code = re.sub(r"[^\w.-]", "", error)[:60]
    return f"Microsoft did not give consent ({code}). Start again. If this continues, the customer's administrator can look up the code."
