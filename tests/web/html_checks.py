"""What every page must get right, whatever it shows: ``check_page(html, url)``."""

import re
from urllib.parse import urlsplit

import html5lib

NEED_LABEL = {"input", "select", "textarea"}
NO_LABEL = {"hidden", "submit", "button"}
BLOCKS = (
    "html|head|body|meta|link|script|title|div|p|[uo]l|li|d[ltd]|table|thead|tbody|t[rdh]|section|form|header|footer|nav"
    "|aside|main|h[1-6]|fieldset|legend|select|option|details|summary|br|dialog|rect|path|noscript|progress"
)
UNSEEN = (
    re.compile(rf"\s*(</?(?:{BLOCKS})\b[^>]*>)\s*"),
    re.compile(r"(<(?:a|button|label|span class=\"rc-sub)\b[^>]*>)\s+"),
    re.compile(r"\s+(</(?:a|button|label)>|<span class=\"rc-sub\b)"),
)


VARYING = re.compile(r'csrf.token" [a-z]+="[^"]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_good = set()


def check_page(html, url=""):
    """Raise AssertionError naming what is wrong with a whole page."""
    names = {}
    shape = hash(VARYING.sub(lambda found: names.setdefault(found[0], f"#{len(names)}"), html))
    if shape in _good:  # but for its token, and how its ids read, it is a page that was checked
        return
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    page = parser.parse(html)
    problems = [f"line {place[0]}: {code} {detail}" for place, code, detail in parser.errors]
    heads = page.findall(".//h1")
    title = "".join(page.find(".//title").itertext()).strip()
    if len(heads) != 1:
        problems.append(f"{len(heads)} h1")
    name = title.split(" · ")[0]
    if heads and not squeezed("".join(heads[0].itertext())).startswith(squeezed(name)):
        problems.append(f"the title {title!r} does not start with the h1")
    ids = [element.get("id") for element in page.iter() if element.get("id") is not None]
    problems += [f"the id {one} is there twice" for one in set(ids) if ids.count(one) > 1]
    labelled = {element.get("for") for element in page.iter("label")}
    wrapped = {child for label in page.iter("label") for child in label.iter()}
    for element in page.iter():
        problems += _element_problems(element, labelled, wrapped, set(ids))
    assert not problems, f"{url}: " + "; ".join(problems)
    _good.add(shape)


def as_shown(html):
    """The page without the line breaks and indents of its templates, which nobody sees; what a field holds keeps its own."""
    parts = re.split(r"(<textarea.*?</textarea>)", html, flags=re.DOTALL)
    return "".join(part if n % 2 else _without_layout(part) for n, part in enumerate(parts)).strip()


def _without_layout(html):
    parts = re.split(r"(<[a-z][^>]*>)", html)
    html = "".join(_tag(part) if n % 2 else re.sub(r"\s+", " ", part) for n, part in enumerate(parts))
    for beside in UNSEEN:
        html = beside.sub(r"\1", html)
    return html


def _tag(text):
    return re.sub(r'"[^"]*"|\s+', lambda part: " " if part[0].isspace() else part[0], text).replace(" >", ">")


def squeezed(text):
    """Text with single spaces."""
    return re.sub(r"\s+", " ", text).strip()


def _element_problems(element, labelled, wrapped, ids):
    tag, get = element.tag, element.get
    if not isinstance(tag, str):
        return
    for attribute in element.attrib:
        if attribute == "style" or (isinstance(attribute, str) and attribute.startswith("on")):
            yield f"{tag} has {attribute}"
    if tag == "style" or (tag == "script" and not get("src")):
        yield f"{tag} in the page"
    for attribute in ("href", "src", "action", "hx-get", "hx-post"):
        if get(attribute) and urlsplit(get(attribute)).netloc and tag != "a":
            yield f"{tag} leads outside: {get(attribute)}"
    if tag in NEED_LABEL and get("type") not in NO_LABEL:
        named = get("aria-label") or get("aria-labelledby") or get("id") in labelled or element in wrapped
        if not named:
            yield f"{tag} {get('name')} has no label"
    if tag in {"button", "a"} and not (get("aria-label") or "".join(element.itertext()).strip()):
        if get("id") != "running-syncs":  # not shown while it is empty
            yield f"{tag} {get('href') or get('name')} has no name"
    if tag == "form":
        yield from _form_problems(element)
    target = get("hx-target") or ""
    if target.startswith("#") and target[1:] not in ids:
        yield f"there is no {target}"


def _form_problems(form):
    if form.get("action") is None:
        yield "a form has no action"
    if (form.get("method") or "get").lower() == "post":
        if not any(field.get("name") == "csrf_token" for field in form.iter("input")):
            yield f"the form {form.get('action')} has no token"
        if form.get("hx-post") and form.get("hx-post") != form.get("action"):
            yield f"the form {form.get('action')} posts elsewhere under htmx"
