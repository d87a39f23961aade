"""How texts compare (S3): one key for every text that serves as one. Pure: the standard library and idna.

Two texts are the same when nobody could tell them apart on paper. What is stored and shown stays as it was written.

NFC, not NFKC, decides what is one letter: it joins only what must look alike ("e" + accent and "é"), while NFKC also joins
what anybody sees apart ("m²" and "m2", full-width letters). The domain of an address is the exception, because Unicode's own
rules for domains (UTS 46) begin with such a mapping: registries know no full-width domain.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

# Nothing is drawn for these: controls, soft hyphen, joiners, direction marks, byte order mark, variation selectors, tags
# (Unicode's Default_Ignorable_Code_Point and category Cf without the Arabic, Syriac and Kaithi signs, which are drawn), and halves
# of surrogate pairs, which are no characters. \t to \r, \x1c to \x1f and \x85 are blanks.
UNSEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufe00-\ufe0f\ufeff\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Drawn as a blank: what Unicode calls one, the Hangul fillers and the empty Braille cell.
BLANKS = (
    "\t-\r\x1c-\x20\x85\xa0\u115f\u1160\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000\u3164\uffa0"
)
_UNSEEN = re.compile(f"[{UNSEEN}]+")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BLANKS = re.compile(f"[{BLANKS}]+")
_NOTHING = re.compile(f"[{UNSEEN}{BLANKS}]*")
_DIGITS = re.compile(r"\d+")
NATURAL_LENGTH = 400
"""Characters of a natural key that are kept: two names that agree so far may stand in any order."""
_MAX_KEPT = 256  # characters of a text whose key is remembered
_MAX_DOMAIN = 255  # characters; whatever is longer is no domain, and punycode would take long over it


def text_key(text: str) -> str:
    """What ``text`` is compared by (S3): trimmed, NFC, case-folded, without what cannot be seen, a run of blanks as one.

    Never raises and is idempotent: ``text_key(text_key(x)) == text_key(x)``.
    """
    if text.isascii() and text.isprintable():  # nearly every text
        key = text.strip().lower()
        return " ".join(key.split()) if "  " in key else key
    return _long_key(text) if len(text) <= _MAX_KEPT else _long_key.__wrapped__(text)


def email_key(address: str) -> str:
    """What an e-mail address is compared by (S3, M1, M4): as ``text_key``, without blanks, its domain in ASCII (IDNA).

    Never raises and is idempotent, whatever ``address`` is; ``""`` for nothing. It does not tell whether it is an address.
    """
    if address.isascii() and address.isprintable():
        return address.replace(" ", "").lower()
    local, at, domain = _BLANKS.sub("", visible(address)).rpartition("@")
    return _fold(local) + at + domain_key(domain) if at else _fold(domain)


def domain_key(domain: str) -> str:
    """What a domain is compared by (S5): its ASCII form, ``xn--…`` for a label of other letters; never raises, idempotent.

    It is spelled, not judged: a domain that no registry would take has a key all the same.
    """
    if domain.isascii() and domain.isprintable():
        return domain.replace(" ", "").lower()
    domain = unicodedata.normalize("NFC", _BLANKS.sub("", visible(domain)))
    # Measured in this form, or else the key of a long one could be short enough, and have another key.
    folded = _fold(domain)
    return _ascii(domain) if len(folded) <= _MAX_DOMAIN else folded


def search_forms(word: str) -> tuple[str, ...]:
    """The spellings of a searched word to look for: a domain is stored in its ASCII form, and as it was written."""
    if word.isascii() or not ("@" in word or "." in word):
        return (word,)
    return tuple(dict.fromkeys((word, email_key(word) if "@" in word else domain_key(word))))


def natural_key(text: str) -> str:
    """What lists sort names by: as ``text_key``, but numbers by their size, so that "Customer 2" stands before "Customer 10".

    Each run of digits is written with its length in front: equal lengths compare as they are. At most ``NATURAL_LENGTH``.
    """
    return _DIGITS.sub(_sized, text_key(text))[:NATURAL_LENGTH]


def is_blank(text: str) -> bool:
    """Whether ``text`` shows nothing, so that its key is ""."""
    return _NOTHING.fullmatch(text) is not None


def visible(text: str) -> str:
    """``text`` without what cannot be seen; blanks stay."""
    return _UNSEEN.sub("", text)


def _sized(run: re.Match[str]) -> str:
    digits = "".join(str(int(digit)) for digit in run[0]).lstrip("0") or "0"  # of every script
    return f"{len(digits):03}{digits}"


def _fold(text: str) -> str:
    """Unicode's canonical caseless form (D145), put together again."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


@lru_cache(maxsize=4096)  # departments, offices and words are few, and asked for again and again
def _long_key(text: str) -> str:
    return _fold(_BLANKS.sub(" ", visible(text)).strip())


@lru_cache(maxsize=1024)  # few domains, many people
def _ascii(domain: str) -> str:
    folded = _fold(domain)
    if domain.isascii():
        return folded
    # Not folded first: ß is a letter of its own in domains, and straße.example is not strasse.example.
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
    except idna.IDNAError:
        mapped = folded
    if "@" in mapped or _BLANKS.search(mapped):
        mapped = folded
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
        for label in mapped.split(".")
    ).lower()


def is_guid(text: str) -> bool:
    """True for the id of a tenant, app or object as Microsoft writes it, in small letters."""
    return _GUID.fullmatch(text) is not None
