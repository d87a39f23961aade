"""The kinds of files that can be imported, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping

from portal.imports.assets import AssetImporter
from portal.imports.end_users import EndUserImporter
from portal.imports.records import Importer

IMPORTERS: Mapping[str, Importer] = {"end_users": EndUserImporter(), "assets": AssetImporter()}
EVENTS: Mapping[str, str] = {"end_users": "end_users_imported", "assets": "assets_imported"}
