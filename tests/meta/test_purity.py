"""Decisions take time, randomness and the outside world as arguments (CONTRIBUTING.md)."""

import ast

from tests.meta.tree import ROOT, files_of_tests, functions, imported_modules, name_of, parsed, production_files

IMPURE = {
    "aiohttp", "aiokafka", "asyncio", "confluent_kafka", "faust", "logging", "os", "psycopg", "psycopg_pool", "random",
    "requests", "secrets", "socket", "subprocess", "threading", "time", "uuid",
}  # fmt: skip

PURE_MODULES = [
    "sinks/webpush/addresses.py", "sinks/webpush/answers.py", "sinks/webpush/auth_switch.py",
    "sinks/webpush/endpoints.py", "sinks/webpush/message.py", "sinks/posthog/payload.py", "sinks/posthog/answers.py",
    "schemas/activity.py", "schemas/alert.py", "schemas/change.py", "schemas/dead_letter.py", "schemas/errors.py",
    "schemas/event_names.py", "schemas/progress.py", "schemas/avro.py",
    "topics/registry.py", "topics/plan.py", "topics/partitioning.py",
    "capture/pgoutput.py", "capture/position.py", "capture/encoding.py", "capture/envelope.py",
    "streams/engine/positions.py", "streams/engine/backoff.py",
    "streams/windows/fence.py", "streams/windows/panes.py",
    "streams/alerts/lifecycle.py", "streams/alerts/rates.py",
    "sinks/outcomes.py", "sinks/breaker.py", "sinks/retry.py",
    "ops/masking.py", "ops/restarts.py", "ops/lag.py",
]  # fmt: skip

ENVIRONMENT_READERS = ("ops/", "devstack/")
"""Settings come from the environment in one place; test stands and supervisors hand environments to children."""


def test_the_list_of_pure_modules_names_files_that_exist():
    assert not [name for name in PURE_MODULES if not (ROOT / name).is_file()]


def test_pure_modules_import_no_io_no_clock_no_randomness():
    found = [
        f"{name}:{line} imports {module}"
        for name in PURE_MODULES
        for module, line in imported_modules(ROOT / name)
        # uuid.UUID is a value; making one is not: the name is allowed where only the class is imported.
        if module.split(".")[0] in IMPURE and not _only_the_uuid_type(ROOT / name, line)
    ]
    assert not found


def _only_the_uuid_type(path, line):
    return any(
        isinstance(node, ast.ImportFrom)
        and node.lineno == line
        and node.module == "uuid"
        and [alias.name for alias in node.names] == ["UUID"]
        for node in ast.walk(parsed(path))
    )


def test_only_ops_and_the_devstack_read_the_environment():
    found = []
    for path in production_files():
        if name_of(path).startswith(ENVIRONMENT_READERS):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                found.append(f"{name_of(path)}:{node.lineno}")
    assert not found


def test_unit_tests_and_laws_do_not_sleep():
    found = []
    for path in files_of_tests():
        if not name_of(path).startswith(("tests/unit/", "tests/laws/")):
            continue
        for node in ast.walk(parsed(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "sleep"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("time", "asyncio")
                and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
            ):
                found.append(f"{name_of(path)}:{node.lineno}")
    assert not found


def test_public_functions_and_classes_are_documented():
    found = []
    for path in production_files():
        tree = parsed(path)
        if ast.get_docstring(tree) is None and tree.body:
            found.append(name_of(path))
        found += [
            f"{name_of(path)}:{node.lineno} {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and ast.get_docstring(node) is None
        ]
    assert not found


def test_no_test_imports_another_test():
    found = [
        f"{name_of(path)}:{line} imports {module}"
        for path in files_of_tests()
        for module, line in imported_modules(path)
        if module.startswith("tests.") and module.split(".")[-1].startswith("test_")
    ]
    assert not found


def test_production_code_leaves_nothing_for_later():
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    found = [
        f"{name_of(path)}: {word}" for path in production_files() for word in words if word in path.read_text("utf-8")
    ]
    assert not found
    assert list(functions(ROOT / "schemas/activity.py"))
