"""The short soak; `make soak` runs the long one."""

from tests.e2e.soak import Plan, Soak


async def test_every_message_is_accounted_for_despite_killed_hosts_and_a_failing_provider() -> None:
    soak = Soak(Plan(messages=1500, seed=20_260_301, is_gentle=True, patience_seconds=150))
    accounting = await soak.run()
    print(accounting.table())
    assert soak.kills >= 2
    assert accounting.violations() == []
    assert accounting.is_at_rest
    assert accounting.duplicates <= accounting.allowed
