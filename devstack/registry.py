"""A schema registry in memory: the part of Confluent's HTTP interface that clients use, for Avro schemas.

Ids have to agree between processes, so it runs as a process of its own. Schemas that differ only in
white space or in the order of JSON keys are one schema and share one id across all subjects. Schemas of
other types, references and deletion are refused. The compatibility level of a subject is enforced as the
real registry does (`devstack.compatibility`); unlike there it is NONE until somebody sets it, because the
production default is a decision of whoever runs that registry.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from devstack.compatibility import LEVELS, complaints, named_types
from devstack.ports import LOOPBACK
from devstack.processes import Child, Command, end_with_stdin, python_module, spawn

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RegistryRefusal(Exception):
    """An error in the registry's own form: HTTP status, error code, sentence."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        """Keep the three parts for the answer."""
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


def subject_not_found(subject: str) -> RegistryRefusal:
    """40401."""
    return RegistryRefusal(404, 40401, f"Subject '{subject}' not found.")


def version_not_found(version: str) -> RegistryRefusal:
    """40402."""
    return RegistryRefusal(404, 40402, f"Version {version} not found.")


def schema_not_found(schema_id: str = "") -> RegistryRefusal:
    """40403."""
    return RegistryRefusal(404, 40403, f"Schema {schema_id} not found".replace("  ", " "))


@dataclass(slots=True)
class Catalogue:
    """All schemas by id, and each subject's versions; no I/O."""

    ids: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, list[str]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    default_level: str = "NONE"

    def register(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add a version unless the subject has this schema; raises RegistryRefusal (409, 422)."""
        text = canonical(body)
        versions = self.subjects.get(subject, [])
        if text not in versions:
            level = self.level(subject)
            if found := complaints(level, json.loads(text), [json.loads(old) for old in versions]):
                raise RegistryRefusal(409, 409, f"Schema is incompatible ({level}): {'; '.join(found)}")
            self.subjects.setdefault(subject, []).append(text)
        self.ids.setdefault(text, len(self.ids) + 1)
        return self._described(subject, text)

    def lookup(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """The version of this schema in the subject; raises RegistryRefusal (40401, 40403, 422)."""
        if subject not in self.subjects:
            raise subject_not_found(subject)
        text = canonical(body)
        if text not in self.subjects[subject]:
            raise schema_not_found()
        return self._described(subject, text)

    def version(self, subject: str, version: str) -> dict[str, Any]:
        """One version by number, `latest` or `-1`; raises RegistryRefusal (40401, 40402, 42202)."""
        versions = self.versions(subject)
        number = versions[-1] if version in ("latest", "-1") else _number(version)
        if number not in versions:
            raise version_not_found(version)
        return self._described(subject, self.subjects[subject][number - 1])

    def versions(self, subject: str) -> list[int]:
        """A subject's version numbers; raises RegistryRefusal (40401)."""
        if subject not in self.subjects:
            raise subject_not_found(subject)
        return list(range(1, len(self.subjects[subject]) + 1))

    def schema(self, schema_id: str) -> dict[str, Any]:
        """A schema by its id; raises RegistryRefusal (40403)."""
        for text, known in self.ids.items():
            if str(known) == schema_id:
                return {"schema": text}
        raise schema_not_found(schema_id)

    def level(self, subject: str | None) -> str:
        """The compatibility level of a subject, the default if it has none."""
        return self.levels.get(subject or "", self.default_level)

    def set_level(self, subject: str | None, level: str) -> None:
        """Set the default level or a subject's; raises RegistryRefusal (42203)."""
        if level not in LEVELS:
            raise RegistryRefusal(422, 42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        if subject is None:
            self.default_level = level
        else:
            self.levels[subject] = level

    def _described(self, subject: str, text: str) -> dict[str, Any]:
        version = self.subjects[subject].index(text) + 1
        return {
            "subject": subject,
            "id": self.ids[text],
            "version": version,
            "schemaType": "AVRO",
            "schema": text,
        }


def canonical(body: dict[str, Any]) -> str:
    """The schema with keys in order and no white space; raises RegistryRefusal 42201 if it is no Avro."""
    # Imported late: the parser takes longer to load than the rest of this server.
    from fastavro.schema import SchemaParseException, UnknownType, parse_schema  # noqa: PLC0415

    if body.get("schemaType", "AVRO") != "AVRO" or body.get("references"):
        raise RegistryRefusal(422, 42201, "This registry takes Avro schemas without references only")
    try:
        schema = json.loads(body["schema"])
        parse_schema(schema)
        # The parser takes a record without fields for one with none.
        for named in named_types(schema, {}).values():
            if named["type"] in ("record", "error"):
                named["fields"]
    except (KeyError, TypeError, ValueError, SchemaParseException, UnknownType) as error:
        raise RegistryRefusal(422, 42201, f"Invalid schema: {error!r}") from error
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def _number(version: str) -> int:
    if not version.isdigit() or int(version) < 1:
        message = f"The specified version '{version}' is not a valid version id."
        raise RegistryRefusal(422, 42202, message)
    return int(version)


def build_app() -> web.Application:
    """The HTTP interface over an empty catalogue."""
    catalogue = Catalogue()
    app = web.Application(middlewares=[_errors])
    subject, version = "/subjects/{subject}", "/subjects/{subject}/versions/{version}"

    async def register(request: web.Request) -> web.Response:
        return _answer(catalogue.register(request.match_info["subject"], await _body(request)))

    async def lookup(request: web.Request) -> web.Response:
        return _answer(catalogue.lookup(request.match_info["subject"], await _body(request)))

    async def config(request: web.Request) -> web.Response:
        return _answer({"compatibilityLevel": catalogue.level(request.match_info.get("subject"))})

    async def set_config(request: web.Request) -> web.Response:
        level = str((await _body(request)).get("compatibility"))
        catalogue.set_level(request.match_info.get("subject"), level)
        return _answer({"compatibility": level})

    async def list_subjects(_: web.Request) -> web.Response:
        return _answer(sorted(catalogue.subjects))

    async def list_versions(request: web.Request) -> web.Response:
        return _answer(catalogue.versions(request.match_info["subject"]))

    async def one_version(request: web.Request) -> web.Response:
        return _answer(catalogue.version(request.match_info["subject"], request.match_info["version"]))

    async def schema(request: web.Request) -> web.Response:
        return _answer(catalogue.schema(request.match_info["id"]))

    app.add_routes(
        [
            web.get("/subjects", list_subjects),
            web.post(subject, lookup),
            web.post(f"{subject}/versions", register),
            web.get(f"{subject}/versions", list_versions),
            web.get(version, one_version),
            web.get("/schemas/ids/{id}", schema),
            *(web.get(path, config) for path in ("/config", "/config/{subject}")),
            *(web.put(path, set_config) for path in ("/config", "/config/{subject}")),
        ]
    )
    return app


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise RegistryRefusal(400, 400, f"The request's body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise RegistryRefusal(400, 400, "The request's body is not a JSON object")
    return body


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type=CONTENT_TYPE)


@web.middleware
async def _errors(request: web.Request, handler: Reply) -> web.StreamResponse:
    try:
        return await handler(request)
    except RegistryRefusal as refusal:
        return _answer({"error_code": refusal.error_code, "message": refusal.message}, refusal.status)
    except web.HTTPException as error:
        return _answer({"error_code": error.status, "message": f"HTTP {error.status} {error.reason}"}, error.status)


class Registry:
    """The registry's process."""

    def __init__(self, child: Child, url: str) -> None:
        """Wrap a registry that has said its address."""
        self._child = child
        self.url = url

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._child.kill()

    def kill(self) -> None:
        """SIGKILL; the same loss as `stop`."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it."""
        self._child.pause()

    def resume(self) -> None:
        """Thaw it after `pause`."""
        self._child.resume()


def start_registry(run_dir: Path) -> Registry:
    """Start an empty registry on a free loopback port; raises StartFailed."""
    child = spawn(
        Command(
            name="schema registry",
            argv=python_module("devstack.registry"),
            log=run_dir / "registry.log",
            keeps_pipes=True,
        )
    )
    try:
        said = json.loads(child.first_line(timeout_s=20))
    except BaseException:
        child.kill()
        raise
    return Registry(child, said["url"])


async def _serve(port: int) -> None:
    runner = web.AppRunner(build_app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, port)
    await site.start()
    print(json.dumps({"url": f"http://{LOOPBACK}:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run a schema registry, print its address as one JSON line, and stay until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.registry", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = parser.parse_args().port
    end_with_stdin()
    asyncio.run(_serve(port))


if __name__ == "__main__":
    main()
