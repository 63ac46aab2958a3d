"""The short soak; `make soak` runs the long one."""

from tests.e2e.soak import Plan, Soak


async def test_every_message_is_accounted_for_despite_killed_and_stopped_hosts_and_a_failing_provider() -> None:
    soak = Soak(
        Plan(messages=200, seed=20_260_301, kill_seconds=(2.0, 5.0), is_gentle=True, patience_seconds=150, loss=0.0)
    )
    accounting = await soak.run()
    print(soak.summary(), accounting.table(), sep="\n\n")
    assert soak.kills >= 2
    assert soak.stops >= 1
    assert soak.pauses >= 1
    assert accounting.violations() == []
    assert accounting.is_at_rest
    assert accounting.duplicates <= accounting.allowed
