"""Exit 0 while the worker in this container answers GET /health, whatever its role is."""

import http.client
import os
import sys

OK = 200


def addresses() -> list[str]:
    """Return where a worker may listen: as the collector, or as one of another role."""
    given = os.environ.get
    http_host = given("EVENT_COUNTER_HTTP_HOST", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
    http_port = given("EVENT_COUNTER_HTTP_PORT", "8000")
    worker_host = given("EVENT_COUNTER_WORKER_HOST", "127.0.0.1")
    worker_port = given("EVENT_COUNTER_WORKER_PORT", "6067")
    return [f"{http_host}:{http_port}", f"{worker_host}:{worker_port}"]


def answers(address: str) -> bool:
    """Return whether a worker answers there with 200."""
    connection = http.client.HTTPConnection(address, timeout=3)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == OK
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if any(map(answers, addresses())) else 1)
