"""Who runs and watches Bongsu: command line, settings, logs, supervision, doctor, wiring.

Belongs here: everything an operator touches, and the one place (`ops.wiring`) where real clients are built
for the pipeline. Does not belong here: a decision about an event. Invariant: environment variables are read
in `ops.settings` and nowhere else.
"""
