"""The blueprint that the pages about End Users share."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("end_users", __name__)
