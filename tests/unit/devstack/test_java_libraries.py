"""What is said when Java or Maven is absent or unfit."""

import subprocess

import pytest

from devstack import java_libraries
from devstack.java_libraries import JavaMissing, java_program, libraries, write_properties


def with_java(monkeypatch, stderr):
    monkeypatch.setattr(java_libraries.shutil, "which", lambda name: f"/somewhere/{name}")
    answer = subprocess.CompletedProcess([], 0, "", stderr)
    monkeypatch.setattr(java_libraries.subprocess, "run", lambda *_, **__: answer)


def test_no_java(monkeypatch):
    monkeypatch.setattr(java_libraries.shutil, "which", lambda _: None)

    with pytest.raises(JavaMissing, match="no `java` on the PATH"):
        java_program()


def test_an_old_java_is_named(monkeypatch):
    with_java(monkeypatch, 'openjdk version "11.0.2" 2019-01-15\nmore\n')

    with pytest.raises(JavaMissing, match=r'Java 17 or newer.*version "11\.0\.2"'):
        java_program()


def test_a_java_that_says_nothing(monkeypatch):
    with_java(monkeypatch, "")

    with pytest.raises(JavaMissing, match="no answer"):
        java_program()


def test_a_new_java_is_taken(monkeypatch):
    with_java(monkeypatch, 'openjdk version "21.0.1" 2023-10-17\n')

    assert java_program() == "/somewhere/java"


def test_no_maven_and_nothing_cached(monkeypatch, tmp_path):
    monkeypatch.setattr(java_libraries, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(java_libraries.shutil, "which", lambda _: None)

    with pytest.raises(JavaMissing, match="no `mvn` on the PATH"):
        libraries()


def test_cached_jars_need_no_maven(monkeypatch, tmp_path):
    monkeypatch.setattr(java_libraries, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(java_libraries.shutil, "which", lambda name: f"/somewhere/{name}")
    monkeypatch.setattr(java_libraries, "_fetch", lambda _maven, _pom, into: (into / "a.jar").touch())
    fetched = libraries()
    monkeypatch.setattr(java_libraries.shutil, "which", lambda _: None)

    assert libraries() == fetched
    assert [jar.name for jar in fetched.iterdir()] == ["a.jar"]
    assert list(fetched.parent.iterdir()) == [fetched]


def test_a_failed_fetch_leaves_nothing_behind(monkeypatch, tmp_path):
    def fail(_maven, _pom, into):
        (into / "half.jar").touch()
        raise JavaMissing("no network")

    monkeypatch.setattr(java_libraries, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(java_libraries.shutil, "which", lambda name: f"/somewhere/{name}")
    monkeypatch.setattr(java_libraries, "_fetch", fail)

    with pytest.raises(JavaMissing, match="no network"):
        libraries()
    assert list((tmp_path / "java").iterdir()) == []


def test_backslashes_of_a_properties_file_are_doubled(tmp_path):
    written = write_properties(tmp_path / "x.properties", {"a": "1", "dir": "c:\\x"})

    assert written.read_text() == "a=1\ndir=c:\\\\x\n"
