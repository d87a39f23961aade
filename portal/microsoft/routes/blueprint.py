"""The blueprint that the pages about Microsoft Tenants share."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("microsoft", __name__)
