"""Plain stand-ins for the protobuf classes that the worker library builds and reads.

The library takes any namespace with these names (`properties["protos"]`), so neither grpc nor protobuf is needed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class TypedData:
    """One value and its kind. Reading a kind that is not set gives None, as an unset protobuf field is falsy."""

    string: Any = None
    json: Any = None
    bytes: Any = None
    http: Any = None
    int: Any = None
    double: Any = None
    collection_string: Any = None
    collection_bytes: Any = None
    collection_sint64: Any = None
    collection_double: Any = None
    model_binding_data: Any = None
    collection_model_binding_data: Any = None

    def __init__(self, **value: Any) -> None:
        self.__dict__.update(value)

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        return next(iter(self.__dict__), None)


class ParameterBinding:
    """A named value that goes into a function or comes out of it."""

    def __init__(self, *, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class RpcHttp:
    """A request or a response, as the worker sees it."""

    def __init__(
        self,
        *,
        method: str = "",
        url: str = "",
        headers: dict[str, str] | None = None,
        body: TypedData | None = None,
        params: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        status_code: str = "",
        cookies: list[Any] | None = None,
        enable_content_negotiation: bool = False,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers or {}
        self.body = body if body is not None else TypedData()
        self.params = params or {}
        self.query = query or {}
        self.status_code = status_code
        self.cookies = cookies or []
        self.enable_content_negotiation = enable_content_negotiation


class BindingInfo(SimpleNamespace):
    """`direction` and `data_type` are compared with these numbers."""

    undefined = 0
    out = 1
    inout = 2


class StatusResult(SimpleNamespace):
    """`exception` is None on success."""

    Failure = 0
    Success = 1
    Cancelled = 2
    exception: Any = None


class RpcHttpCookie(SimpleNamespace):
    """Attributes are Nullable* objects or None."""

    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class InvocationResponse(SimpleNamespace):
    """What an invocation gave: `return_value` is None without a return binding."""

    return_value: TypedData | None = None
    output_data: tuple[ParameterBinding, ...] = ()


def namespace() -> SimpleNamespace:
    """The `protos` object to hand to the worker library."""
    plain = (
        "RpcException WorkerInitResponse WorkerMetadata RpcFunctionMetadata RpcRetryOptions "
        "FunctionMetadataResponse FunctionLoadResponse FunctionEnvironmentReloadResponse "
        "NullableString NullableBool NullableDouble NullableTimestamp Timestamp"
    )
    return SimpleNamespace(
        TypedData=TypedData,
        ParameterBinding=ParameterBinding,
        RpcHttp=RpcHttp,
        BindingInfo=BindingInfo,
        StatusResult=StatusResult,
        RpcHttpCookie=RpcHttpCookie,
        InvocationResponse=InvocationResponse,
        **{name: type(name, (SimpleNamespace,), {}) for name in plain.split()},
    )
