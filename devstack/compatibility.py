"""Whether data written with one Avro schema can be read with another, by Avro's resolution rules; pure.

Covers what the registry's BACKWARD, FORWARD and FULL levels mean (Avro specification, "Schema Resolution").
"""

from collections.abc import Mapping, Sequence
from typing import Any

LEVELS = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)
PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
Named = dict[str, Mapping[str, Any]]


def complaints(level: str, new: Any, versions: Sequence[Any]) -> list[str]:
    """Why `new` may not follow the earlier versions (oldest first) at this level; empty if it may."""
    earlier = versions if level.endswith("_TRANSITIVE") else versions[-1:]
    kind = level.removesuffix("_TRANSITIVE")
    found: list[str] = []
    for old in earlier:
        if kind in ("BACKWARD", "FULL"):
            found += unreadable(reader=new, writer=old)
        if kind in ("FORWARD", "FULL"):
            found += unreadable(reader=old, writer=new)
    return found


def unreadable(*, reader: Any, writer: Any) -> list[str]:
    """What of the writer's data the reader could not resolve, as sentences; empty if all can be read."""
    return _Resolution(named_types(reader, {}), named_types(writer, {})).compare(reader, writer, "$")


class _Resolution:
    """One comparison; remembers the pairs of records under way, since a record may contain itself."""

    def __init__(self, reader_names: Named, writer_names: Named) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._open: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> list[str]:
        reader = _resolved(reader, self._reader_names)
        writer = _resolved(writer, self._writer_names)
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.compare(reader, branch, path)]
        if isinstance(reader, list):
            tried = [self.compare(branch, writer, path) for branch in reader]
            return [] if [] in tried else [f"{path}: no branch of the union reads {_kind(writer)}"]
        return self._compare_plain(reader, writer, path)

    def _compare_plain(self, reader: Any, writer: Any, path: str) -> list[str]:
        reads, writes = _kind(reader), _kind(writer)
        if reads != writes:
            promoted = reads in PROMOTIONS.get(writes, ())
            return [] if promoted else [f"{path}: {writes} cannot be read as {reads}"]
        match reads:
            case "record" | "error":
                return self._compare_records(reader, writer, path)
            case "enum":
                return _compare_enums(reader, writer, path)
            case "fixed":
                same = reader["size"] == writer["size"] and _short(reader) == _short(writer)
                return [] if same else [f"{path}: the fixed types differ"]
            case "array":
                return self.compare(reader["items"], writer["items"], f"{path}[]")
            case "map":
                return self.compare(reader["values"], writer["values"], f"{path}{{}}")
            case _:
                return []

    def _compare_records(self, reader: Any, writer: Any, path: str) -> list[str]:
        if _short(reader) != _short(writer) and _short(writer) not in reader.get("aliases", ()):
            return [f"{path}: record {_short(writer)} cannot be read as {_short(reader)}"]
        pair = (_short(reader), _short(writer))
        if pair in self._open:
            return []
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        found: list[str] = []
        for field in reader["fields"]:
            names = [name for name in (field["name"], *field.get("aliases", ())) if name in written]
            where = f"{path}.{field['name']}"
            if names:
                found += self.compare(field["type"], written[names[0]]["type"], where)
            elif "default" not in field:
                found.append(f"{where}: the reader needs it, the writer lacks it, and it has no default")
        self._open.discard(pair)
        return found


def _compare_enums(reader: Any, writer: Any, path: str) -> list[str]:
    unknown = sorted(set(writer["symbols"]) - set(reader["symbols"]))
    return [f"{path}: unknown enum symbols {', '.join(unknown)}"] if unknown and "default" not in reader else []


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, Mapping) else str(schema)


def _short(schema: Mapping[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


def _resolved(schema: Any, names: Named) -> Any:
    if isinstance(schema, str) and schema not in PRIMITIVES:
        return names[schema.rpartition(".")[2]]
    if isinstance(schema, Mapping) and isinstance(schema["type"], list | Mapping):
        return _resolved(schema["type"], names)
    return schema


def named_types(schema: Any, found: Named) -> Named:
    """Every record, enum and fixed type defined in a schema, by short name, added to `found`."""
    if isinstance(schema, list):
        for branch in schema:
            named_types(branch, found)
    elif isinstance(schema, Mapping):
        if "name" in schema and schema.get("type") in ("record", "error", "enum", "fixed"):
            found[_short(schema)] = schema
        for inside in ("type", "items", "values"):
            named_types(schema.get(inside), found)
        for field in schema.get("fields", ()):
            named_types(field["type"], found)
    return found
