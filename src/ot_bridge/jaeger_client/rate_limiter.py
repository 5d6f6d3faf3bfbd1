"""The rate limiter by its old name, over :class:`ot_bridge.sampling.token_bucket.TokenBucket`."""

from __future__ import annotations

from ot_bridge.sampling.token_bucket import TokenBucket

__all__ = ["RateLimiter"]


class RateLimiter:
    """Credits that fill with time.

    Args:
        credits_per_second: how fast.
        max_balance: how many at most.
    """

    def __init__(self, credits_per_second: float, max_balance: float) -> None:
        self.credits_per_second, self.max_balance = credits_per_second, max_balance
        self._bucket = TokenBucket(credits_per_second, max_balance)

    def check_credit(self, item_cost: float) -> bool:
        """Pay so many credits; False, and nothing paid, where there are fewer."""
        return self._bucket.take(item_cost)

    def update(self, credits_per_second: float, max_balance: float) -> None:
        """Change both; the balance stays in proportion."""
        self.credits_per_second, self.max_balance = credits_per_second, max_balance
        self._bucket.update(credits_per_second, max_balance)
