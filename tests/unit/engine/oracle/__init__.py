"""The engine's first way of deciding, slow and obvious: what the plan is compared with.

Where a rule was changed since, the place names the rule.
"""
