"""The checks that every page goes through can fail."""

import pytest

from tests.web.html_checks import check_page

GOOD = "<!doctype html><html lang=en><head><title>A · Rollcall</title></head><body><h1>A</h1>{}</body></html>"


def test_a_good_page_passes():
    check_page(GOOD.format('<label for="q">Q</label><input id="q" name="q"><a href="/x">x</a>'))


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("<h1>B</h1>", "2 h1"),
        ('<p id="a"></p><p id="a"></p>', "there twice"),
        ('<p style="color:red">x</p>', "has style"),
        ('<p onclick="x()">x</p>', "has onclick"),
        ("<script>1</script>", "script in the page"),
        ('<input name="q">', "has no label"),
        ('<a href="/x"></a>', "has no name"),
        ('<form method="post" action="/x"></form>', "has no token"),
        ("<form></form>", "has no action"),
        ('<p hx-get="/x" hx-target="#nobody">x</p>', "there is no #nobody"),
        ('<img src="https://cdn.example/x.png" alt="">', "leads outside"),
        ("<p><b>x</p></b>", "line"),
    ],
)
def test_each_problem_is_named(part, problem):
    with pytest.raises(AssertionError, match=problem):
        check_page(GOOD.format(part), "/x")


def test_a_form_posts_to_its_action_under_htmx_too():
    form = '<form method="post" action="/x" hx-post="/y"><input type="hidden" name="csrf_token" value="t"></form>'
    with pytest.raises(AssertionError, match="posts elsewhere"):
        check_page(GOOD.format(form))


def test_the_title_begins_with_the_heading():
    with pytest.raises(AssertionError, match="does not start"):
        check_page(GOOD.format("").replace("<h1>A", "<h1>B"))
