"""The service's description for programs, OpenAPI 3.1, made from the contract of what answers."""

from typing import Any

import msgspec

from rung_ops.model.columns import Column
from rung_ops.model.rows import Problem, Reader
from rung_ops.model.target import ONE_NUMBER, Kind
from rung_ops.project.service_settings import ReasonSettings
from rung_ops.serving.access import Access
from rung_ops.serving.answers import types_of
from rung_ops.serving.explaining import PARAMETER
from rung_ops.serving.service import Service

REFERENCE = "#/components/schemas/{name}"
HEADERS = {
    "x-request-id": "Becomes the id of the prediction, or of many the beginning of their ids.",
    "x-key": "Whose request this is: while a new release is tried, one key gets one release.",
}
UNKNOWN = "The caller is not known: no token, or another one."
EXPLAIN = (
    "Whether each row is answered with its reasons: what speaks most against the person, in words of "
    "the contract. At most {most} rows then."
)
PROBLEMS = {
    "400": "The body is not JSON, a header cannot be logged, or the release gives no reasons.",
    "413": "The body or its number of rows is too large.",
    "415": "The body is of a media type that is not read here.",
    "422": "A row violates the contract: which, where and why.",
    "500": "The release could not score a row.",
    "503": "Nothing answers now, or too many requests wait.",
}


def document(service: Service) -> dict[str, Any]:
    """Describe a service; while nothing is served, without the columns of a row."""
    serving, most = service.held.serving, service.limits.max_rows
    reader, example, kind = None, None, ONE_NUMBER
    info = {"title": "Predictions", "version": "none"}
    if serving is not None:
        reader, example, kind = serving.reader, serving.example(), serving.release.kind
        info["version"] = serving.release.id
        if made := serving.release.contract.get("forecast"):
            info["description"] = f"Each prediction is a forecast, {made}."
    schemes = _schemes(service.access)
    known = _known(schemes) if service.access.is_asked_for else {}
    figures = _known(schemes) if service.access.metrics else {}
    described = _page("What answers: release, figures, card, contract", "503")
    counted = _page("Figures in Prometheus' format", kind="text/plain")
    components = {"schemas": schemas(reader, most, kind)}
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": {
            "/predict": {"post": _guarded(_predict(example, most, service.reasons), known)},
            "/predict/batch": {"post": _guarded(_batch(example), known)},
            "/health/live": {"get": _page("Whether the process answers")},
            "/health/ready": {"get": _page("Whether requests are welcome", "503")},
            "/model": {"get": _guarded(described, known)},
            "/metrics": {"get": _guarded(counted, figures)},
        },
        "components": components | ({"securitySchemes": schemes} if schemes else {}),
    }


def _schemes(access: Access) -> dict[str, Any]:
    """Describe how callers authenticate; empty if they need not."""
    if not access.asks:
        return {}
    schemes: dict[str, Any] = {"token": {"type": "http", "scheme": "bearer"}}
    if access.header:
        schemes["proxy"] = {
            "type": "apiKey",
            "in": "header",
            "name": access.header.decode(),
            "description": "Set by a trusted proxy, which has authenticated the caller.",
        }
    return schemes


def _known(schemes: dict[str, Any]) -> dict[str, Any]:
    return {"security": [{name: []} for name in schemes]} if schemes else {}


def _guarded(operation: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Add to an operation what a caller has to show, and what happens otherwise."""
    if not known:
        return operation
    return operation | known | {"responses": operation["responses"] | {"401": _problem(UNKNOWN)}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _ref("Problem")}}}


def schemas(reader: Reader | None, most: int, kind: Kind = ONE_NUMBER) -> dict[str, Any]:
    """Describe what is read and answered: msgspec's own schema of the types that it decodes.

    What it adds are the rules that msgspec does not check, and what people want to know: units,
    descriptions, defaults.
    """
    answers = (*types_of(kind)[:3], Problem)
    read = (reader.row_type, reader.body_type) if reader is not None else ()
    _, schemas = msgspec.json.schema_components((*answers, *read), ref_template=REFERENCE)
    if reader is None:
        return schemas | {name: {"type": "object"} for name in ("Row", "Body")}
    rows, lists = (schemas[name]["properties"] for name in ("Row", "Columns"))
    for column in reader.columns:
        rules: dict[str, Any] = {}
        for check in reader.checks[column.name]:
            rules |= check.published
        rows[column.name] = _value(rows[column.name], column, rules)
        values = _not_null(lists[column.name])
        values["items"] = _value(values["items"], column, rules)
        values |= {"minItems": 1, "maxItems": most}
    return schemas


def _value(schema: dict[str, Any], column: Column, rules: dict[str, Any]) -> dict[str, Any]:
    """Add to the schema of a value what msgspec leaves out."""
    sentences = [column.description, f"Unit: {column.unit}." if column.unit else None, column.words]
    schema = schema | {"description": " ".join(filter(None, sentences))}
    value = _not_null(schema)
    value |= rules
    if column.family == "datetime":
        # Of the OpenAPI registry: a `date-time` has an offset.
        value["format"] = "date-time-local" if column.without_offset else "date-time"
    if "pattern" in value:  # as the contract writes it, not as Python does
        value["pattern"] = column.rules["pattern"]
    if not column.required:
        schema["default"] = column.default
    return schema


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Find the part of a schema that describes what is not null."""
    return schema["anyOf"][0] if "anyOf" in schema else schema  # type: ignore[no-any-return]


def _predict(example: dict[str, Any] | None, most: int, reasons: ReasonSettings) -> dict[str, Any]:
    row, answer = _ref("Row"), _ref("Answer")
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": most}
    body = {"oneOf": [row, rows]}
    explain = {
        **{"name": PARAMETER, "in": "query", "description": EXPLAIN.format(most=reasons.max_rows)},
        "schema": {"type": "boolean", "default": reasons.always},
    }
    operation = _operation(
        "Predict for one row, or for an array of rows",
        {"application/json": {"schema": body} | ({"example": example} if example else {})},
        {"application/json": {"schema": {"oneOf": [answer, _ref("Answers")]}}},
    )
    operation["parameters"].append(explain)
    return operation


def _batch(example: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref("Body")}
    if example:
        body["example"] = {"columns": {name: [value] for name, value in example.items()}}
    return _operation(
        "Predict for a table: columns in JSON",
        {"application/json": body},
        {"application/json": {"schema": _ref("AnswersByColumn")}},
    )


def _operation(summary: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problems = {status: _problem(text) for status, text in PROBLEMS.items()}
    problems["503"]["headers"] = {
        "retry-after": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    }
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "header", "schema": {"type": "string"}, "description": text}
            for name, text in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "Predictions", "content": answer}, **problems},
    }


def _page(summary: str, *further: str, kind: str = "application/json") -> dict[str, Any]:
    response = {"description": summary, "content": {kind: {}}}
    return {"summary": summary, "responses": dict.fromkeys(("200", *further), response)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}
