"""A simulator of Microsoft login and Microsoft Graph: a separate HTTPS process that imports nothing else of ours.

Start it with ``rollcall simulate`` or, in tests, ``with SimulatorServer(World(...)) as simulator``.
How it behaves follows Microsoft's own documentation; ``docs/simulator.md`` tells how to make it misbehave.
"""
