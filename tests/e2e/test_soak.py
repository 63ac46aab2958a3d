"""The short soak; `make soak` runs the long one."""

from tests.e2e.soak import Plan, Soak


async def test_every_message_is_accounted_for_although_the_host_is_killed_and_the_provider_misbehaves() -> None:
    soak = Soak(Plan(messages=1500, seed=20_260_301, is_gentle=True, patience_seconds=150))
    books = await soak.run()
    print(books.table())
    assert soak.kills >= 2
    assert books.wrongs() == []
    assert books.is_at_rest
    assert books.duplicates <= books.allowed
