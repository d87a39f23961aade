"""tools/assets.py, on a toy ``node_modules``: what is served comes out named by content, mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools import assets


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "@tabler/core/package.json": json.dumps({"version": "1.0.0", "license": "MIT"}),
        "@tabler/core/dist/css/tabler.min.css": "body{color:red}.unused{color:blue}\n/*# sourceMappingURL=tabler.min.css.map */",
        ".used/tabler.min.css": "body{color:red}\n/*# sourceMappingURL=tabler.min.css.map */",
        "htmx.org/package.json": json.dumps({"version": "2.0.0", "license": "0BSD"}),
        "htmx.org/LICENSE": "Zero-Clause BSD",
        "htmx.org/dist/htmx.min.js": "htmx={}",
        "swagger-ui-dist/package.json": json.dumps({"version": "5.0.0", "license": "Apache-2.0"}),
        "swagger-ui-dist/LICENSE": "Apache License",
        "swagger-ui-dist/NOTICE": "Copyright of its makers",
        "swagger-ui-dist/swagger-ui-bundle.js": "SwaggerUIBundle={}",
        "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": "What the bundle holds",
        "swagger-ui-dist/swagger-ui.css": ".swagger-ui{color:red}\n/*# sourceMappingURL=swagger-ui.css.map*/",
        "@tabler/icons/package.json": json.dumps({"version": "3.0.0", "license": "MIT"}),
        "@tabler/icons/LICENSE": "MIT License",
        "@tabler/icons/icons/outline/user-plus.svg": '<svg\n  width="24"\n>\n  <path d="M1 1" />\n</svg>\n',
        "@tabler/icons/icons/filled/user.svg": "<svg/>",
    }
    for name, text in files.items():
        path = tmp_path / "node_modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "static").mkdir()
    icons(tmp_path, "user-plus  # the button\nuser-filled\n\nuser-plus\n")
    return tmp_path


def icons(checkout: Path, text: str) -> None:
    (checkout / "static" / "icons.list").write_text(text, encoding="utf-8")


def vendor(checkout: Path) -> Path:
    return checkout / "static" / "vendor"


def test_the_manifest_maps_plain_names_to_files_named_by_content(checkout: Path) -> None:
    served = assets.build(checkout)
    manifest = json.loads((vendor(checkout) / "manifest.json").read_text(encoding="utf-8"))
    assert sorted(manifest) == ["htmx.min.js", "swagger-ui-bundle.js", "swagger-ui.css", "tabler.min.css"]
    assert sorted(manifest.values()) == served
    assert (vendor(checkout) / manifest["tabler.min.css"]).read_text(encoding="utf-8") == "body{color:red}\n"
    assert (vendor(checkout) / manifest["swagger-ui.css"]).read_text(
        encoding="utf-8"
    ) == ".swagger-ui{color:red}\n"
    script = checkout / "node_modules/htmx.org/dist/htmx.min.js"
    script.write_text("htmx={newer:1}", encoding="utf-8")
    assert set(assets.build(checkout)) - set(served)
    assert not (vendor(checkout) / manifest["htmx.min.js"]).exists()


def test_only_listed_icons_are_copied_and_each_is_one_line(checkout: Path) -> None:
    assets.build(checkout)
    assert sorted(path.name for path in (vendor(checkout) / "icons").iterdir()) == [
        "user-filled.svg",
        "user-plus.svg",
    ]
    svg = (vendor(checkout) / "icons" / "user-plus.svg").read_text(encoding="utf-8")
    assert svg == '<svg width="24" ><path d="M1 1" /></svg>'


def test_a_missing_icon_is_named_and_the_old_folder_stays(checkout: Path) -> None:
    assets.build(checkout)
    icons(checkout, "user-plus\nuser-plsu\nplug-conected\n")
    with pytest.raises(assets.AssetError, match="plug-conected, user-plsu"):
        assets.build(checkout)
    assert (vendor(checkout) / "icons" / "user-filled.svg").exists()
    assert sorted(path.name for path in (checkout / "static").iterdir()) == ["icons.list", "vendor"]


@pytest.mark.parametrize("name", ["../secret", "User", "a b", "user.svg", "-x"])
def test_what_is_no_icon_name_is_refused(checkout: Path, name: str) -> None:
    icons(checkout, f"user-plus\n{name}\n")
    with pytest.raises(assets.AssetError, match="is no icon name"):
        assets.build(checkout)


def test_a_file_that_a_package_no_longer_has_is_named(checkout: Path) -> None:
    (checkout / "node_modules/htmx.org/dist/htmx.min.js").unlink()
    with pytest.raises(assets.AssetError, match=r"htmx\.min\.js is missing"):
        assets.build(checkout)


def test_licenses_of_all_packages_are_collected(checkout: Path) -> None:
    assets.build(checkout)
    text = (vendor(checkout) / "LICENSES.txt").read_text(encoding="utf-8")
    swagger = ("Apache License", "Copyright of its makers", "What the bundle holds")
    for words in (
        "@tabler/core 1.0.0",
        "License: MIT",
        "@tabler/icons 3.0.0",
        "MIT License",
        "Zero-Clause BSD",
        *swagger,
    ):
        assert words in text


def test_packages_are_installed_once_per_lock(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(assets, "run_npm", lambda _root, *arguments: calls.append(arguments) or 0)
    (checkout / "package-lock.json").write_text("{}", encoding="utf-8")
    assets.install_packages(checkout, force=False)
    assets.install_packages(checkout, force=False)
    assert calls == [("ci", "--loglevel=error")]
    (checkout / "package-lock.json").write_text('{"newer": 1}', encoding="utf-8")
    assets.install_packages(checkout, force=False)
    assets.install_packages(checkout, force=True)
    assert calls == [("ci", "--loglevel=error")] * 3


def test_a_failing_npm_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "run_npm", lambda _root, *_arguments: 1)
    (checkout / "package-lock.json").write_text("{}", encoding="utf-8")
    with pytest.raises(assets.AssetError, match="npm could not install"):
        assets.install_packages(checkout, force=False)
    assert not (checkout / "node_modules" / ".rollcall-lock").exists()
