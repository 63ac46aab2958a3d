"""Describe the messages between the Functions host and a worker that the benchmark needs.

Names and numbers are those of FunctionRpc.proto (github.com/Azure/azure-functions-language-worker-protobuf), so the library for
Python apps gets genuine protobuf messages, which the upb parser of `protobuf` reads and writes as in Azure.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped,unused-ignore] # ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)  # fmt: skip

METHOD = "/AzureFunctionsRpcMessages.FunctionRpc/EventStream"
_PACKAGE = "AzureFunctionsRpcMessages"
# By message: its fields as `name type number`. A type in <> is the value of a map from strings; `*` is a repeated field.
_MESSAGES = {
    "StreamingMessage": "request_id string 1|start_stream StartStream 20|worker_init_request WorkerInitRequest 17|"
    "worker_init_response WorkerInitResponse 16|function_load_request FunctionLoadRequest 8|"
    "function_load_response FunctionLoadResponse 9|invocation_request InvocationRequest 4|"
    "invocation_response InvocationResponse 5|rpc_log RpcLog 2|functions_metadata_request FunctionsMetadataRequest 29|"
    "function_metadata_response FunctionMetadataResponse 30",
    "StartStream": "worker_id string 2",
    "WorkerInitRequest": "host_version string 1|capabilities <string> 2|worker_directory string 4|"
    "function_app_directory string 5",
    "WorkerInitResponse": "worker_version string 1|capabilities <string> 2|result StatusResult 3|"
    "worker_metadata WorkerMetadata 4",
    "WorkerMetadata": "runtime_name string 1|runtime_version string 2|worker_version string 3|worker_bitness string 4|"
    "custom_properties <string> 5",
    "FunctionsMetadataRequest": "function_app_directory string 1",
    "FunctionMetadataResponse": "function_metadata_results *RpcFunctionMetadata 1|result StatusResult 2|"
    "use_default_metadata_indexing bool 3",
    "RpcFunctionMetadata": "name string 4|directory string 1|script_file string 2|entry_point string 3|"
    "bindings <BindingInfo> 6|is_proxy bool 7|status StatusResult 8|language string 9|raw_bindings *string 10|"
    "function_id string 13|managed_dependency_enabled bool 14|retry_options RpcRetryOptions 15|properties <string> 16",
    "RpcRetryOptions": "max_retry_count int32 2",
    "BindingInfo": "type string 2|direction int32 3|data_type int32 4|properties <string> 5",
    "FunctionLoadRequest": "function_id string 1|metadata RpcFunctionMetadata 2",
    "FunctionLoadResponse": "function_id string 1|result StatusResult 2",
    "InvocationRequest": "invocation_id string 1|function_id string 2|input_data *ParameterBinding 3|"
    "trigger_metadata <TypedData> 4|trace_context RpcTraceContext 5|retry_context RetryContext 6",
    "RpcTraceContext": "trace_parent string 1|trace_state string 2|attributes <string> 3",
    "RetryContext": "retry_count int32 1|max_retry_count int32 2|exception RpcException 3",
    "InvocationResponse": "invocation_id string 1|output_data *ParameterBinding 2|return_value TypedData 4|"
    "result StatusResult 3",
    "ParameterBinding": "name string 1|data TypedData 2",
    "TypedData": "string string 1|json string 2|bytes bytes 3|stream bytes 4|http RpcHttp 5|int sint64 6|double double 7",
    "RpcHttp": "method string 1|url string 2|headers <string> 3|body TypedData 4|params <string> 10|status_code string 12|"
    "query <string> 15|enable_content_negotiation bool 16|cookies *RpcHttpCookie 19",
    "RpcHttpCookie": "name string 1|value string 2",
    "StatusResult": "status int32 4|result string 1|exception RpcException 2",
    "RpcException": "source string 3|stack_trace string 1|message string 2|is_user_exception bool 4|type string 5",
    "RpcLog": "invocation_id string 1|category string 2|level int32 3|message string 4|log_category int32 8",
}
_CHOICES = {"StreamingMessage": ("content", 1), "TypedData": ("data", 0), "ParameterBinding": ("rpc_data", 1)}
"""The `oneof` of a message: its name, and the number of fields before it."""
_NUMBERS = {
    "StatusResult": {"Failure": 0, "Success": 1, "Cancelled": 2},
    "BindingInfo": {"undefined": 0, "out": 1, "inout": 2},
}
"""Members of enumerations that the library reads from a message's class."""


def messages() -> SimpleNamespace:
    """Return the message classes, by name."""
    described = descriptor_pb2.FileDescriptorProto(name="FunctionRpc.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        _describe(described.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    classes = dict(_classes(pool))
    for name, members in _NUMBERS.items():
        # Protobuf's own classes cannot be given attributes.
        classes[name] = _with_members(classes[name], members)
    return SimpleNamespace(**classes)


def _classes(pool: Any) -> Iterator[tuple[str, Any]]:
    for name in _MESSAGES:
        yield name, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _with_members(message: Any, members: dict[str, int]) -> Any:
    def make(**fields: Any) -> Any:
        return message(**fields)

    for member, number in members.items():
        setattr(make, member, number)
    return make


def _describe(described: Any, fields: str) -> None:
    choice, first = _CHOICES.get(described.name, ("", 0))
    if choice:
        described.oneof_decl.add(name=choice)
    for place, field in enumerate(fields.split("|")):
        name, kind, number = field.split()
        added = described.field.add(name=name, number=int(number), label=3 if kind[0] in "<*" else 1)
        _set_type(added, _map_entry(described, name, kind[1:-1]) if kind[0] == "<" else kind.lstrip("*"))
        if choice and place >= first:
            added.oneof_index = 0


def _map_entry(described: Any, name: str, value: str) -> str:
    """Describe the entries of a map, as protobuf does: messages with a key and a value."""
    title = "".join(word.title() for word in name.split("_")) + "Entry"
    entry = described.nested_type.add(name=title)
    entry.options.map_entry = True
    _set_type(entry.field.add(name="key", number=1, label=1), "string")
    _set_type(entry.field.add(name="value", number=2, label=1), value)
    return f"{described.name}.{title}"


_TYPES = {"double": 1, "int32": 5, "bool": 8, "string": 9, "message": 11, "bytes": 12, "sint64": 18}
"""Numbers of `FieldDescriptorProto.Type`."""


def _set_type(field: Any, kind: str) -> None:
    field.type = _TYPES.get(kind, _TYPES["message"])
    if kind not in _TYPES:
        field.type_name = f".{_PACKAGE}.{kind}"
