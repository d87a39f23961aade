"""What a browser posts from the pop-up."""

SECTIONS = ("user_type", "domain", "office_location", "department", "group")


def everything(**changes):
    """All five sections on All, with ``changes``; None leaves a field out."""
    form = {**{f"{name}_all": "1" for name in SECTIONS}, **changes}
    return {key: value for key, value in form.items() if value is not None}


def url(organization_id, tail=""):
    return f"/organizations/{organization_id}/user-sync{tail}"
