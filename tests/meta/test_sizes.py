"""Small rooms: files, functions and their names."""

from statistics import median

from tests.meta.tree import files_of_tests, functions, name_of, production_files

MAX_FILE_LINES = 400
MAX_TEST_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_MEDIAN_FUNCTION_LINES = 8
FORBIDDEN_NAMES = {"utils", "util", "manager", "helpers", "helper", "common", "misc", "core"}


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def body_lines(node):
    """Lines of a function without its docstring: what a reader must hold in mind."""
    first = node.body[0]
    documented = hasattr(first, "value") and isinstance(getattr(first.value, "value", None), str)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return node.end_lineno - node.lineno + 1 - docstring


def test_files_are_small():
    too_long = {name_of(path): lines(path) for path in production_files() if lines(path) > MAX_FILE_LINES}
    too_long |= {name_of(path): lines(path) for path in files_of_tests() if lines(path) > MAX_TEST_FILE_LINES}
    assert not too_long


def test_functions_are_small():
    too_long = {
        f"{name_of(path)}:{node.lineno} {node.name}": body_lines(node)
        for path in production_files()
        for node in functions(path)
        if body_lines(node) > MAX_FUNCTION_LINES
    }
    assert not too_long


def test_most_functions_are_very_small():
    sizes = [body_lines(node) for path in production_files() for node in functions(path)]
    assert median(sizes) <= MAX_MEDIAN_FUNCTION_LINES


def test_no_module_is_a_drawer():
    found = [name_of(path) for path in production_files() if FORBIDDEN_NAMES & set(path.with_suffix("").parts)]
    assert not found
