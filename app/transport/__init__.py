"""Batch transport for faust-streaming: one stream event is one fetched batch of one partition.

    app = faust.App("id", broker="kafka://localhost:9092",
                    ConsumerScheduler=batch_scheduler({"events"}, {"id-table-changelog"}),
                    TableManager=PromptTableManager)
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    topic = app.topic("events", value_serializer="raw", maxsize=4)  # event.value is a Batch

Stock Faust loses deliveries around a rebalance, and its commit logic counts single offsets
(docs/internals/decisions/batch-transport.md). Guarantees here, for the batch topics:

* A batch is delivered only between the seek of its generation and the next revocation.
* The batches of a partition join up without a hole in aiokafka's own fetch position; gaps left by
  compaction and transaction markers pass.
* The committed offset is the end of the longest prefix of batches that the agent acknowledged.
* Tables may define `async before_commit()`. It is awaited first; when it raises, nothing is
  committed and the worker stops. `async before_release()` is awaited before a revocation or a
  stop, so that batches whose acknowledgement waits for a flush get it. `give_up()` is called at a
  revocation, so that what they still do for the last recovery ends.
* Tables with a changelog define `is_made_anew(tp, topic_id)`. Where it is true, the recovery reads
  that changelog from its beginning.
* An exception in an agent of a batch topic stops the worker without a commit.

An agent of a batch topic takes `stream.noack()`, handles the batches of a partition in order,
and acknowledges each by hand after its effects are safe.
"""

from app.transport.batch import batch_scheduler
from app.transport.consumer import BatchConsumer
from app.transport.driver import BatchTransport
from app.transport.membership import is_member
from app.transport.producing import give_up_sending, kafka_producer
from app.transport.progress import PositionError, Progress
from app.transport.unending import PromptTableManager

__all__ = [
    "BatchConsumer",
    "BatchTransport",
    "PositionError",
    "Progress",
    "PromptTableManager",
    "batch_scheduler",
    "give_up_sending",
    "is_member",
    "kafka_producer",
]
