"""Dead letters of the stream roles: encoded, published, acknowledged by Kafka before the engine goes on."""

from collections.abc import Sequence

from schemas.avro import AvroCodec
from schemas.dead_letter import DeadLetter
from streams.engine.outcomes import Transient
from topics.publisher import Outgoing, Publisher, PublishFailed
from topics.registry import dead_letter_topic


class PublishedLetters:
    """The engine's `DeadLetterWriter`.

    Args:
        publisher: acks=all.
        codec: knows the dead-letter schema's id.
    """

    def __init__(self, publisher: Publisher, codec: AvroCodec) -> None:
        self._publisher = publisher
        self._codec = codec

    async def write(self, letters: Sequence[DeadLetter]) -> None:
        """Publish each letter to its topic's dead-letter topic.

        Raises:
            Transient: Kafka did not acknowledge all of them and may later.
            PublishFailed: Kafka refused one for good, which is a defect: letters are cut to fit.
        """
        records = [
            Outgoing(dead_letter_topic(letter.topic), letter.key, self._codec.encode("dead-letter", letter.to_avro()))
            for letter in letters
        ]
        try:
            await self._publisher.publish_many(records)
        except PublishFailed as error:
            if error.retriable:
                raise Transient(str(error)) from error
            raise
