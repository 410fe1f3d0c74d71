#!/usr/bin/env python3
"""Writes tensorboard-events beside itself with TensorBoard's own messages and framing: what
tests/unit/test_tensorboard.c compares Muster's bytes with. Needs tensorboard (2.21.0 with protobuf
7.36.2 wrote the file that is here); run by hand, never in CI."""
import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

VALUES = [("loss/train", 2.5), ("optim/lr", 0.00098), ("data/tokens", 3e12), ("loss/valid", -1e-30)]
EVENTS = [
    event_pb2.Event(wall_time=1795453421.25, file_version="brain.Event:2"),
    event_pb2.Event(wall_time=1795453422.5, step=401,
                    session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)),
    event_pb2.Event(wall_time=1795453423.75, step=1 << 40, summary=summary_pb2.Summary(
        value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in VALUES])),
]

with open(pathlib.Path(__file__).parent / "tensorboard-events", "wb") as out:
    writer = RecordWriter(out)
    for event in EVENTS:
        writer.write(event.SerializeToString())
