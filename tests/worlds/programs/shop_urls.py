"""The addresses of the shop as a Django site."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

import __main__ as shop


def front(_: HttpRequest) -> HttpResponse:
    return HttpResponse(shop.front())


def stock(_: HttpRequest) -> HttpResponse:
    return HttpResponse(shop.stock())


urlpatterns = [path("front", front), path("stock", stock)]
