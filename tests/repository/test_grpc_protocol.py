"""The messages of the benchmark over gRPC (`bench/over_grpc`) are those of FunctionRpc.proto, byte for byte."""

from bench.over_grpc.protocol import messages

protos = messages()


def test_invocation_has_the_numbers_of_the_protocol() -> None:
    data = protos.TypedData(string="x")
    binding = protos.ParameterBinding(name="m", data=data)
    request = protos.InvocationRequest(invocation_id="i", input_data=[binding], trigger_metadata={"k": data})
    sent = protos.StreamingMessage(request_id="r", invocation_request=request).SerializeToString()
    # Of each field: 8 * number + 2 (length-delimited), the length, the content.
    inner = b"\x0a\x01i" + b"\x1a\x08\x0a\x01m\x12\x03\x0a\x01x" + b"\x22\x08\x0a\x01k\x12\x03\x0a\x01x"
    assert sent == b"\x0a\x01r" + b"\x22" + bytes([len(inner)]) + inner


def test_choice_holds_one_value() -> None:
    message = protos.StreamingMessage(request_id="r", rpc_log=protos.RpcLog(message="x"))
    message.start_stream.worker_id = "w"
    assert message.WhichOneof("content") == "start_stream"
    assert not message.HasField("rpc_log")
