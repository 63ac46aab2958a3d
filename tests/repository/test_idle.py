"""What an idle relay costs: the transactions of its timers, which docs/how-to/cost.md names."""

from bench.idle import transactions


async def test_idle_timers_need_few_transactions() -> None:
    minute, night = await transactions()
    assert dict(minute) == {"queue": 9, "table": 8}
    assert night.total() < 100
