"""Avro schema resolution as the registry's compatibility levels use it."""

import pytest

from devstack.compatibility import complaints, unreadable


def record(*fields, name="E"):
    return {"type": "record", "name": name, "fields": list(fields)}


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": "string"}
NOTE_WITH_DEFAULT = {"name": "note", "type": ["null", "string"], "default": None}


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        ("long", "int"),
        ("double", "float"),
        ("bytes", "string"),
        (["null", "long"], "long"),
        (["null", "long"], ["null", "int"]),
        (record(ID), record(ID, NOTE)),
        (record(ID, NOTE_WITH_DEFAULT), record(ID)),
        (
            record({"name": "ident", "aliases": ["id"], "type": "long"}),
            record(ID),
        ),
        (
            {"type": "enum", "name": "S", "symbols": ["A", "B"]},
            {"type": "enum", "name": "S", "symbols": ["A"]},
        ),
        (
            {"type": "enum", "name": "S", "symbols": ["A"], "default": "A"},
            {"type": "enum", "name": "S", "symbols": ["B"]},
        ),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            "long",
        ),
        ({"type": "map", "values": "string"}, {"type": "map", "values": "string"}),
    ],
)
def test_readable(reader, writer):
    assert unreadable(reader=reader, writer=writer) == []


@pytest.mark.parametrize(
    ("reader", "writer", "where"),
    [
        ("int", "long", "$"),
        ("long", ["null", "long"], "$"),
        (["null", "int"], "string", "$"),
        (record(ID, NOTE), record(ID), "$.note"),
        (record(ID), record(ID, name="F"), "$"),
        (record({"name": "id", "type": "string"}), record(ID), "$.id"),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, "$[]"),
        ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, "${}"),
        (
            {"type": "enum", "name": "S", "symbols": ["A"]},
            {"type": "enum", "name": "S", "symbols": ["A", "B"]},
            "$",
        ),
        (
            {"type": "fixed", "name": "F", "size": 16},
            {"type": "fixed", "name": "F", "size": 8},
            "$",
        ),
    ],
)
def test_unreadable_names_the_place(reader, writer, where):
    found = unreadable(reader=reader, writer=writer)

    assert len(found) == 1
    assert found[0].startswith(f"{where}:")


def test_a_record_that_contains_itself_is_compared_once():
    tree = record(ID, {"name": "left", "type": ["null", "E"], "default": None})

    assert unreadable(reader=tree, writer=tree) == []


@pytest.mark.parametrize(
    ("level", "new", "accepted"),
    [
        ("NONE", "string", True),
        ("BACKWARD", record(ID, NOTE), False),
        ("BACKWARD", record(), True),
        ("FORWARD", record(ID, NOTE), True),
        ("FORWARD", record(), False),
        ("FULL", record(ID, NOTE_WITH_DEFAULT), True),
        ("FULL", record(ID, NOTE), False),
        ("FULL", record(), False),
    ],
)
def test_levels(level, new, accepted):
    assert (complaints(level, new, [record(ID)]) == []) is accepted


def test_only_the_transitive_level_looks_past_the_last_version():
    versions = [record(NOTE), record()]
    new = record({"name": "note", "type": "long", "default": 0})

    assert complaints("BACKWARD", new, versions) == []
    assert len(complaints("BACKWARD_TRANSITIVE", new, versions)) == 1


def test_the_first_version_is_always_accepted():
    assert complaints("FULL_TRANSITIVE", record(ID), []) == []
