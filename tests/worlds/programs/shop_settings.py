"""The shop as a Django site."""

from __future__ import annotations

import os

ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop_urls"
SECRET_KEY = "shop"
MIDDLEWARE = ["django_opentracing.OpenTracingMiddleware"] if "django" in os.environ["OLD"].split() else []
