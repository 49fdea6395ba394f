"""The demo: all of Bongsu on one machine, with traffic, a live view and an audit that can fail.

What belongs here: planning and writing traffic, starting the processes, showing what happens, and adding it
up at the end from ledgers that do not depend on each other. What does not: anything that production code
needs.
"""
