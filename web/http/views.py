"""What all views share: both spellings of a path, JSON in and out, errors with a code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp.web import Request, Response
from faust.web import View
from faust.web.exceptions import WebError
from pydantic import BaseModel, ValidationError

from app.errors import BadRequestError, CounterError, MethodNotAllowedError
from web.http.bodies import Holding, read
from web.http.paths import Call
from web.http.quick import QuickResponse

ViewT = TypeVar("ViewT", bound=type[View])
ModelT = TypeVar("ModelT", bound=BaseModel)
OK = 200
JSON = {"Content-Type": "application/json"}

encode_json = msgspec.json.Encoder().encode


class ApiView(View):
    """A view whose CounterErrors become JSON answers.

    Faust's own dispatch asks its sensors before and after each request, a tenth of what a PUT
    costs; the figures that /metrics shows are counted elsewhere.
    """

    async def __call__(self, request: Any) -> Any:
        """Answer a request; an error that is not ours is left to web.http.server."""
        return await self.handler(request.method.lower())(request)

    def handler(self, method: str, *, has_parts: bool = True) -> Callable[[Any], Awaitable[Any]]:
        """Return the function that answers requests of a method.

        has_parts: whether the path has any that vary; without them it needs no router.
        """
        answer = self.methods[method]
        if method == "head" and type(self).head is View.head:
            answer = self.methods["get"]  # the server leaves its body out

        async def handle(request: Any) -> Any:
            try:
                if has_parts:
                    return await answer(request, **request.match_info)
                return await answer(request)
            except CounterError as exc:
                return error_response(exc)
            except WebError as exc:
                return error_response(MethodNotAllowedError(exc.detail))

        return handle

    def get_methods(self) -> set[str]:
        """Return the methods that this view has; HEAD only together with GET."""
        own = {
            name for name in self.methods if getattr(type(self), name) is not getattr(View, name)
        }
        return {name.upper() for name in own | ({"head"} if "get" in own else set())}


def page(app: Any, call: Call) -> Callable[[ViewT], ViewT]:
    """Serve a call by a view, at both spellings of its path."""

    def add(view: ViewT) -> ViewT:
        for spelling in call.spellings:
            app.page(spelling, name=f"{view.__name__}:{spelling}")(view)
        return view

    return add


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return compact JSON."""
    if status == OK and not headers:
        return QuickResponse(encode_json(value), JSON["Content-Type"])
    return Response(body=encode_json(value), status=status, headers={**JSON, **(headers or {})})


def json_bytes(body: bytes) -> Response:
    """Return JSON that is encoded already."""
    return QuickResponse(body, JSON["Content-Type"])


def error_response(error: CounterError) -> Response:
    """Return {"code", "message"} with the error's status and, where it passes, Retry-After."""
    again = error.retry_after_s
    headers = {} if again is None else {"Retry-After": str(again)}
    return json_response(error.as_dict(), error.status, {**error.headers, **headers})


async def read_body(request: Request, most: int | None = None) -> bytes:
    """Return the body, unpacked where Content-Encoding says so.

    most: bytes that it may have, as sent and unpacked; left out: body_max_bytes. For what it
    raises see web.http.bodies.read().
    """
    holding = holding_of(request)
    return await read(request, holding, holding.body_max_bytes if most is None else most)


def holding_of(request: Request) -> Holding:
    """Return what counts the bytes that a request holds."""
    found: Holding = request.protocol.holding  # type: ignore[attr-defined]
    return found


def parse_json(body: bytes, model: type[ModelT]) -> ModelT:
    """Return a body as a model; raise BadRequestError that names each fault."""
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        faults = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}"
            for error in exc.errors(include_url=False, include_input=False)
        )
        raise BadRequestError(faults) from exc
