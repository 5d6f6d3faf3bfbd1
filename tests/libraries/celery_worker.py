"""What a worker of celery_shop.py starts with: `celery -A libraries.celery_worker worker`."""

from __future__ import annotations

import os

import ot_bridge
from libraries.celery_shop import made

ot_bridge.install("worker")
app = made(os.environ["SHOP_BROKER"], os.environ["SHOP_BACKEND"])
