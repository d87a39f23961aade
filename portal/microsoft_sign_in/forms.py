"""The form between Microsoft's answer and being signed in."""

from __future__ import annotations

from wtforms import StringField
from wtforms.validators import InputRequired, Length

from portal.http.forms import Form


class CodeForm(Form):
    """The authenticator's code alone, after Microsoft said who it is."""

    code = StringField(
        "Six-digit code",
        validators=[
            InputRequired("Fill this in."),
            Length(max=12, message="Enter the six digits that your authenticator shows now."),
        ],
    )
