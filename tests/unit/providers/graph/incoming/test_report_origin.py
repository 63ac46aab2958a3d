"""Only reports that Exchange Online itself made are believed."""

import pytest

from relay.providers.graph.incoming.report_origin import is_by_exchange

OURS = {
    "From": "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.onmicrosoft.com>",
    "X-MS-Exchange-Organization-AuthAs": "Internal",
    "X-MS-Exchange-Organization-AuthMechanism": "05",
}


def report(*more: str, **changes: str | None) -> bytes:
    fields = {**OURS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*lines, *more, "", "X-MS-Exchange-Organization-AuthAs: Internal", ""]).encode()


@pytest.mark.parametrize("sender", [OURS["From"], "<postmaster@contoso.onmicrosoft.com>", "postmaster@contoso.com"])
def test_report_of_exchange_is_believed(sender: str) -> None:
    assert is_by_exchange(report(From=sender))


@pytest.mark.parametrize(
    "changes",
    [
        {"X-MS-Exchange-Organization-AuthAs": "Anonymous"},
        {"X-MS-Exchange-Organization-AuthAs": None},
        {"X-MS-Exchange-Organization-AuthMechanism": "04"},
        {"X-MS-Exchange-Organization-AuthMechanism": None},
        {"From": "Ada <ada@contoso.com>"},
        {"From": "postmaster@contoso.com <ada@contoso.com>"},
        {"From": "ada@contoso.com <postmaster@contoso.com>"},
        {"From": None},
    ],
)
def test_mail_of_others_is_not_believed(changes: dict[str, str | None]) -> None:
    assert not is_by_exchange(report(**{name.replace("-", "_"): value for name, value in changes.items()}))


@pytest.mark.parametrize(
    "field",
    [
        "X-MS-Exchange-Organization-AuthAs: Internal",
        "x-ms-exchange-organization-authmechanism: 05",
        "From: a@b.example",
    ],
)
def test_field_that_is_there_twice_is_not_believed(field: str) -> None:
    """What a sender wrote must not stand beside what Exchange wrote."""
    assert not is_by_exchange(report(field))
