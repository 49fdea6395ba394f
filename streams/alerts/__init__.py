"""Alerts: rules as data, their lifecycle, and the role that evaluates them on the windows' counts.

Invariant: an episode keeps its id and `startsAt`, fires once and resolves once, whatever restarts in between (design.md
§2, G4), because each step is a pure function of the state before and of one tick.
"""
