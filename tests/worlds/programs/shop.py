"""A web shop that asks a second service for its stock: a server and a client, `shop.py flask requests`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

from sides import HEADERS, OLD, begin, called, native_baggage, served, work

begin()


def front() -> str:
    with work("work") as span, native_baggage("by", "native"):
        span.set_baggage_item("order", "42")
        return str(ask("/stock"))


def stock() -> str:
    with work("count"):
        return "3"


def flask_app() -> Any:
    import flask

    app = flask.Flask("shop")
    if "flask" in OLD:
        import opentracing
        from flask_opentracing import FlaskTracing

        FlaskTracing(opentracing.global_tracer, trace_all_requests=True, app=app)
    app.get("/front")(front)
    app.get("/stock")(stock)
    return app


def django_app() -> Any:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def by_requests(url: str) -> str:
    import requests

    if "requests" in OLD:
        from requests_opentracing import SessionTracing

        with SessionTracing() as session:
            return session.get(url, timeout=20).text
    return requests.get(url, timeout=20).text


def by_httpx(url: str) -> str:
    import httpx

    if "httpx" in OLD:
        headers: dict[str, str] = {}
        with called("get stock", "httpx", headers):
            return httpx.get(url, headers=headers, timeout=20).text
    return httpx.get(url, timeout=20).text


def by_urllib3(url: str) -> str:
    import urllib3

    pool = urllib3.PoolManager()
    if "urllib3" in OLD:
        headers: dict[str, str] = {}
        with called("get stock", "urllib3", headers):
            return pool.request("GET", url, headers=headers).data.decode()
    return pool.request("GET", url).data.decode()


APPS: dict[str, Callable[[], Any]] = {"flask": flask_app, "django": django_app}
CLIENTS: dict[str, Callable[[str], str]] = {"requests": by_requests, "httpx": by_httpx, "urllib3": by_urllib3}
stock_port = 0


def ask(path: str) -> str:
    """Ask the service that knows the stock."""
    return CLIENTS[sys.argv[2]](f"http://127.0.0.1:{stock_port}{path}")


def main() -> None:
    global stock_port
    # Each service has its Flask application: Flask-OpenTracing loses spans where one serves two requests at a time.
    make = APPS[sys.argv[1]]
    with served(make()) as stock_port, served(make()) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/front", headers=HEADERS)
        print(connection.getresponse().read().decode())
        connection.close()


if __name__ == "__main__":
    main()
