"""What the page of a form shows beside its fields, where one template adds and edits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FormView:
    """action: where the form is posted; back: where “Cancel” leads; button: what saves it."""

    title: str
    action: str
    back: str
    button: str = "Save"
    is_edit: bool = False
