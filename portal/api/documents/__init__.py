"""What the API answers, in types: frozen pydantic models, one file per resource. The OpenAPI document is made from them.

A document is named as the thing it shows and is used with its module: ``tenants.Tenant``. Every field says what it is and shows
an example. What may be missing has a default; what may be null says ``| None``.
"""
