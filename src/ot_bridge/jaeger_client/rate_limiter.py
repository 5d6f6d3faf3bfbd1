"""The rate limiter by its old name, over :class:`ot_bridge.sampling.token_bucket.TokenBucket`."""

from __future__ import annotations

import time

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
        self._bucket = TokenBucket(credits_per_second, max_balance, clock=self.timestamp)

    @staticmethod
    def timestamp() -> float:
        """Return the seconds of a clock that only grows."""
        return time.monotonic()

    @property
    def balance(self) -> float:
        """The credits that were there when it was last asked."""
        return self._bucket._balance

    @property
    def last_tick(self) -> float:
        """When it was last asked."""
        return self._bucket._filled_at

    def check_credit(self, item_cost: float) -> bool:
        """Pay so many credits; False, and nothing paid, where there are fewer."""
        return self._bucket.take(item_cost)

    def update(self, credits_per_second: float, max_balance: float) -> None:
        """Change both; the balance stays in proportion."""
        self.credits_per_second, self.max_balance = credits_per_second, max_balance
        self._bucket.update(credits_per_second, max_balance)
