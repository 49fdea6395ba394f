"""WHAT a message is: record types, their wire formats and the tables they come from.

Pure: nothing here opens a connection, reads a clock or knows a topic's name. Imports no other package of the project.
"""
