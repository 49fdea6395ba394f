"""The engine refuses a Faust that it was not written for."""

import pytest

from streams.engine import faust_contract
from streams.engine.app import build_app, changelog_topics
from streams.engine.outcomes import Handled
from streams.engine.settings import EngineSettings
from streams.engine.transport import SliceConductor, SliceConsumer, SliceProducer


class Nowhere:
    async def write(self, letters):
        raise AssertionError(letters)


async def handle(batch):
    return Handled()


def build(**more):
    settings = EngineSettings("activity", "bongsu-activity", "127.0.0.1:1,127.0.0.1:2", "0")
    return build_app(settings, inputs={"in": handle, "other": handle}, dead_letters=Nowhere(), **more)


def test_the_installed_faust_is_the_one_that_the_engine_was_written_for():
    faust_contract.check()


def test_another_version_stops_the_start_with_a_sentence(monkeypatch):
    monkeypatch.setattr(faust_contract, "PINNED", {"faust-streaming": "0.15.2"})
    with pytest.raises(faust_contract.FaustChanged, match=r"faust-streaming is 0\.15\.3"):
        build()


def test_a_changed_signature_stops_the_start_with_a_sentence(monkeypatch):
    from faust.transport.consumer import Consumer

    async def getmany(self, timeout, more):
        yield

    monkeypatch.setattr(Consumer, "getmany", getmany)
    with pytest.raises(faust_contract.FaustChanged, match="getmany"):
        faust_contract.check()


def test_a_changed_line_stops_the_start_with_a_sentence(monkeypatch):
    from faust.transport.consumer import Consumer

    async def _commit_offsets(self, offsets, start_new_transaction=True):
        return True

    monkeypatch.setattr(Consumer, "_commit_offsets", _commit_offsets)
    with pytest.raises(faust_contract.FaustChanged, match=r"producer\.flush"):
        faust_contract.check()


@pytest.mark.parametrize(
    ("ours", "names"),
    [
        (
            SliceConsumer,
            "getmany ack perform_seek _add_gap _filter_committable_offsets _commit_offsets",
        ),
        (
            SliceConsumer,
            "on_partitions_revoked on_partitions_assigned _new_consumer_thread",
        ),
        (SliceProducer, "send_soon flush"),
        (SliceConductor, "_build_handler"),
    ],
)
def test_every_override_overrides_something(ours, names):
    for name in names.split():
        assert name in vars(ours), name
        assert any(name in vars(base) for base in ours.__mro__[1:]), f"Faust no longer has {name}"


def test_the_app_is_what_the_design_says(monkeypatch):
    monkeypatch.setenv("BROKER_SESSION_TIMEOUT", "77")
    conf = build().conf
    assert conf.id == "bongsu-activity"
    assert [str(url) for url in conf.broker] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (6.0, 1.5)
    assert (conf.web_enabled, conf.topic_allow_declare, conf.topic_disable_leader) == (False, False, True)
    assert (conf.table_standby_replicas, conf.stream_wait_empty) == (0, False)
    assert str(conf.store) == "memory:"


def test_each_topic_has_one_agent_without_concurrency():
    agents = build().agents
    assert sorted(agents) == ["bongsu-activity.in", "bongsu-activity.other"]
    assert {agent.concurrency for agent in agents.values()} == {1}


def test_changelogs_are_listed_for_topics_apply():
    app = build(tables=lambda app: app.Table("panes", partitions=4))
    assert changelog_topics(app) == [("bongsu-activity-panes-changelog", 4)]
