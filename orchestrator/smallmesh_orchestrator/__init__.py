"""The orchestrator: plans a task, fans it out to the agents it wants, fans the answers in.

``plan`` is pure and says which step is next, ``policy`` what may leave the house,
``flow`` drives a plan over the bus, ``leases`` and ``runs`` are its two doors.
"""
