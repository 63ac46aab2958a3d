"""Replace the protobuf classes that the worker library creates when it indexes an app.

The library takes any namespace with these names (`properties["protos"]`), so neither grpc nor protobuf is needed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class BindingInfo(SimpleNamespace):
    """The numbers that the library compares `direction` and `data_type` with."""

    undefined = 0
    out = 1
    inout = 2


class StatusResult(SimpleNamespace):
    """`exception` is None on success."""

    Failure = 0
    Success = 1
    Cancelled = 2
    exception: Any = None


def namespace() -> SimpleNamespace:
    """Return the `protos` object for the worker library."""
    plain = (
        "RpcException WorkerInitResponse WorkerMetadata RpcFunctionMetadata RpcRetryOptions "
        "FunctionMetadataResponse FunctionLoadResponse"
    )
    return SimpleNamespace(
        BindingInfo=BindingInfo,
        StatusResult=StatusResult,
        **{name: type(name, (SimpleNamespace,), {}) for name in plain.split()},
    )
