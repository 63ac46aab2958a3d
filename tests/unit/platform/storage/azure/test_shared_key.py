"""Connection strings. The contract suite checks signatures: Azurite verifies them as Azure does."""

import base64

import pytest

from relay.core.errors import SettingsError
from relay.platform.storage.azure.settings import CONNECTION, Service, find_account
from relay.platform.storage.azure.shared_key import SharedKey, read_connection_string

KEY = base64.b64encode(b"a key").decode()


def test_connection_string_gives_endpoints_and_key() -> None:
    found = read_connection_string(
        f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn"
    )
    assert found.key == SharedKey("shop", b"a key")
    assert found.endpoints == {
        service: f"https://shop.{service}.core.chinacloudapi.cn" for service in ("blob", "queue", "table")
    }


def test_names_ignore_case_and_urls_lose_their_trailing_slash() -> None:
    found = read_connection_string(f" accountname=shop ;ACCOUNTKEY={KEY};QueueEndpoint=http://localhost:1/shop/;")
    assert found.endpoints["queue"] == "http://localhost:1/shop"
    assert found.endpoints["table"] == "https://shop.table.core.windows.net"


def test_development_storage_gives_the_emulators_endpoints() -> None:
    found = read_connection_string("UseDevelopmentStorage=true")
    assert found.key is not None
    assert found.key.account == "devstoreaccount1"
    assert found.endpoints["table"] == "http://127.0.0.1:10002/devstoreaccount1"


def test_shared_access_signature_is_read() -> None:
    found = read_connection_string(
        "BlobEndpoint=https://a.example;QueueEndpoint=https://b.example;TableEndpoint=https://c.example;"
        "SharedAccessSignature=?sv=2022-11-02&sig=a%2Bb%3D"
    )
    assert found.key is None
    assert found.signature == "sv=2022-11-02&sig=a%2Bb%3D"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hunter2", "is not a connection string (Name=value;Name=value)"),
        ("AccountName=shop;hunter2", "is not a connection string (Name=value;Name=value)"),
        ("AccountName=shop", "has neither an AccountName with its AccountKey nor a SharedAccessSignature"),
        (f"AccountKey={KEY}", "has neither an AccountName with its AccountKey nor a SharedAccessSignature"),
        ("AccountName=shop;AccountKey=hunter2!", "has an AccountKey that is not base64"),
        (
            "QueueEndpoint=https://b.example;SharedAccessSignature=sig=hunter2",
            "has no AccountName and no address for: blob, table",
        ),
    ],
)
def test_error_message_does_not_contain_the_connection_string(text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_account({CONNECTION: text})
    assert caught.value.problems == (f"{CONNECTION}: {fault}",)
    assert caught.value.__cause__ is None
    assert "hunter2" not in str(caught.value)


def test_repr_contains_no_key_or_signature() -> None:
    account = find_account({CONNECTION: f"AccountName=shop;AccountKey={KEY}"})
    connection = read_connection_string(f"AccountName=shop;AccountKey={KEY};SharedAccessSignature=sig=hunter2")
    for shown in (repr(account), repr(account.key), repr(connection)):
        assert KEY not in shown
        assert "a key" not in shown
        assert "hunter2" not in shown
    assert account.addresses[Service.QUEUE] == "https://shop.queue.core.windows.net"
