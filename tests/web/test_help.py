"""Help (F7): the guides as pages, and the quiet link to them in each page's head."""

import re

import pytest
from markupsafe import escape

from portal.help import guides

NAMES = guides.names()


def test_F7_the_list_leads_to_every_guide(client_as):
    browser = client_as()
    page = browser.get("/help").get_data(as_text=True)
    assert len(NAMES) >= 4 and all(f'href="/help/{name}"' in page for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_F7_a_guide_has_its_headings_and_its_links_lead_somewhere(client_as, name):
    browser = client_as()
    page = browser.get(f"/help/{name}").get_data(as_text=True)
    assert f"<h1><bdi>{escape(guides.guide(name).title)}</bdi>" in page and "<h2 id=" in page
    for link in set(re.findall(r'(?:href|src)="(/help/[^"#]+)', page)):
        with browser.get(link) as answer:
            assert answer.status_code == 200, link


def test_F7_every_topic_is_a_heading_of_its_guide(app):
    for endpoint, (name, heading) in guides.TOPICS.items():
        assert f'id="{heading}"' in guides.guide(name).body, endpoint
        assert endpoint in app.view_functions or endpoint in app.blueprints, endpoint


def test_F7_each_page_links_to_the_part_that_helps_with_it(client_as):
    browser = client_as()
    assert 'href="/help/administrator#connect-microsoft"' in browser.get("/microsoft-tenants").get_data(
        as_text=True
    )
    assert 'href="/help"' in browser.get("/").get_data(as_text=True)


def test_F7_there_is_no_guide_outside_the_folder(client_as):
    browser = client_as()
    assert browser.get("/help/nothing").status_code == 404
    assert browser.get("/help/pictures/../../README.md").status_code == 404
    assert browser.get("/help/pictures/%2e%2e/tour.md").status_code == 404
