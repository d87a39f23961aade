"""U13: a form that opens in a dialog is answered there; on a page of its own it opens no second one over itself."""

from __future__ import annotations

import re

import pytest

HTMX = {"HX-Request": "true", "HX-Target": "dialog"}


@pytest.mark.parametrize(
    "address", ["/organizations/new", "/tenants/new", "/settings/microsoft/remove?cloud=china"]
)
def test_U13_a_form_is_answered_where_it_stands(client_as, address):
    browser = client_as()
    path = address.partition("?")[0]
    form = re.compile(rf'<form[^>]*action="{re.escape(path)}[^>]*>')
    whole = form.search(browser.get(address).text)
    dialog = form.search(browser.get(address, headers=HTMX).text)
    assert whole is not None and dialog is not None
    assert "hx-" not in whole.group()
    assert 'hx-target="#dialog"' in dialog.group()
