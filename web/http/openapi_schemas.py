"""The words that the other modules of web.http.openapi are written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

JsonSchema = dict[str, Any]
Content = dict[str, JsonSchema]  # by content type

JSON, TEXT, HTML = "application/json", "text/plain", "text/html"
STRING: JsonSchema = {"type": "string"}
WHOLE: JsonSchema = {"type": "integer"}
NUMBER: JsonSchema = {"type": "number"}
BOOLEAN: JsonSchema = {"type": "boolean"}
OBJECT: JsonSchema = {"type": "object"}
TIME: JsonSchema = {"type": "string", "format": "date-time"}
AMOUNTS: JsonSchema = {"type": "object", "additionalProperties": NUMBER}


@dataclass(frozen=True)
class Details:
    """Of a call; answers: by status, then content type."""

    answers: dict[str, Content]
    parameters: list[JsonSchema] = field(default_factory=list)
    body: Content = field(default_factory=dict)


def ref(name: str) -> JsonSchema:
    """Return a reference to a schema that calls share."""
    return {"$ref": f"#/components/schemas/{name}"}


def an(properties: dict[str, JsonSchema], *optional: str) -> JsonSchema:
    """Return an object that has all properties but the optional ones, and perhaps others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def array(items: JsonSchema) -> JsonSchema:
    """Return an array."""
    return {"type": "array", "items": items}


def or_null(*schemas: JsonSchema) -> JsonSchema:
    """Return what is one of these, or null."""
    return {"anyOf": [*schemas, {"type": "null"}]}


def json(schema: JsonSchema) -> Content:
    """Return JSON of a schema."""
    return {JSON: {"schema": schema}}


def text(kind: str = TEXT) -> Content:
    """Return a body of text."""
    return {kind: {"schema": STRING}}


def given(name: str, schema: JsonSchema, about: str, *, required: bool = False) -> JsonSchema:
    """Return a parameter of the query string."""
    return {
        "name": name,
        "in": "query",
        "required": required,
        "schema": schema,
        "description": about,
    }


def header(
    name: str, about: str, schema: JsonSchema = STRING, *, required: bool = False
) -> JsonSchema:
    """Return a header of the request."""
    return {**given(name, schema, about, required=required), "in": "header"}


def figures(answer: JsonSchema, *parameters: JsonSchema) -> Details:
    """Return the details of a question that is answered in JSON."""
    return Details({"200": json(answer)}, list(parameters))
