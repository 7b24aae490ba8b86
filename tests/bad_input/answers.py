"""What came back, in the words of the table: a code, and the fields that are to blame."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(frozen=True)
class Answer:
    """``code`` is that of gRPC, or a word for what became of a connection."""

    code: str
    fields: tuple[str, ...] = ()
    message: str = ""
    value: object = None


def of_call(call) -> Answer:
    """Makes a call and says what came back."""
    try:
        return Answer("OK", value=call())
    except grpc.RpcError as error:
        metadata = dict(error.trailing_metadata() or ())
        encoded = metadata.get("grpc-status-details-bin")
        status = status_pb2.Status.FromString(encoded) if encoded else status_pb2.Status()
        return Answer(error.code().name, _fields(status), error.details() or "")


def of_item(item) -> Answer:
    """One result of a batch or a pipeline."""
    kind = item.WhichOneof("result") if "result" in item.DESCRIPTOR.oneofs_by_name else item.WhichOneof("response")
    if kind == "error":
        return Answer(CODES.get(item.error.code, "?"), _fields(item.error), item.error.message)
    return Answer("OK", value=getattr(item, kind))


def _fields(status: status_pb2.Status) -> tuple[str, ...]:
    fields = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [it.field for it in bad.field_violations]
    return tuple(fields)
