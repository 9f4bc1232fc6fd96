"""The service's description for programs, OpenAPI 3.1, made from the contract of what answers."""

from typing import Any

from rung_ops.serving.columns import Column
from rung_ops.serving.service import Service

TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
ARROW = ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file")
HEADERS = {
    "x-request-id": "Becomes the id of the prediction, or of many the beginning of their ids.",
    "x-key": "Whose request this is: while a new release is tried, one key gets one release.",
}
PROBLEMS = {
    "400": "The body is no JSON or no Arrow, or a header is none that can be logged.",
    "413": "The body or its number of rows is too large.",
    "415": "The body is of a media type that is not read here.",
    "422": "A row breaks the contract: which, where and why.",
    "500": "The release could not score a row.",
    "503": "Nothing answers now, or too many requests wait.",
}


def document(service: Service) -> dict[str, Any]:
    """Describe a service; while nothing is served, without the columns of a row."""
    serving = service.standing.serving
    columns = serving.reader.columns if serving is not None else []
    example = serving.release.contract["example"] if serving is not None else {}
    version = serving.release.id if serving is not None else "none"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Predictions", "version": version},
        "paths": {
            "/predict": {"post": _predict(columns, example)},
            "/predict/batch": {"post": _batch(columns, example)},
            "/health/live": {"get": _page("Whether the process answers")},
            "/health/ready": {"get": _page("Whether requests are welcome", "503")},
            "/model": {"get": _page("What answers: release, figures, card, contract", "503")},
            "/metrics": {"get": _page("Figures in Prometheus' format", kind="text/plain")},
        },
        "components": {"schemas": _schemas(columns, service.limits.strict)},
    }


def value_schema(column: Column) -> dict[str, Any]:
    """Describe the values of a column."""
    schema = dict(TYPES[column.family])
    for name, limit in column.bounds.items():
        if column.family in ("int", "float"):
            schema[LIMITS[name]] = limit
    for name, length in zip(("minLength", "maxLength"), column.lengths, strict=True):
        if length is not None:
            schema[name] = length
    if column.pattern is not None:
        schema["pattern"] = column.pattern
    if column.isin is not None:
        schema["enum"] = list(column.isin)
    if not column.required:
        schema["type"] = [schema["type"], "null"]
        schema["default"] = column.default
        if "enum" in schema:
            schema["enum"].append(None)
    said = [column.description, f"Unit: {column.unit}." if column.unit else None, column.words]
    return schema | {"description": " ".join(each for each in said if each)}


def _schemas(columns: list[Column], strict: bool) -> dict[str, Any]:
    needed = [column.name for column in columns if column.required]
    further = not strict
    lists = {each.name: {"type": "array", "items": value_schema(each)} for each in columns}
    text, number = {"type": "string"}, {"type": "number"}
    names = {"type": "array", "items": text}
    return {
        "Row": {
            "type": "object",
            "properties": {column.name: value_schema(column) for column in columns},
            "required": needed,
            "additionalProperties": further,
        },
        "Columns": {
            "type": "object",
            "properties": lists,
            "required": needed,
            "additionalProperties": further,
        },
        "Answer": _object(id=text, prediction=number, release=text, defaults_used=names),
        "Answers": _object(
            release=text,
            predictions={"type": "array", "items": number},
            ids=names,
            defaults_used={"type": "array", "items": names},
        ),
        "AnswersByColumn": _object(
            release=text,
            predictions={"type": "array", "items": number},
            ids=names,
            defaults_used={
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "integer"}},
                "description": "By column, the numbers of the rows, counted from 1.",
            },
        ),
        "Problem": _object(error=text)
        | {"properties": {"error": text, "row": {"type": "integer"}, "column": text}},
    }


def _predict(columns: list[Column], example: dict[str, Any]) -> dict[str, Any]:
    row, answer = _ref("Row"), _ref("Answer")
    body = {"oneOf": [row, {"type": "array", "items": row, "minItems": 1}]}
    return _operation(
        "Predict for one row, or for an array of rows",
        {"application/json": {"schema": body} | ({"example": example} if columns else {})},
        {"application/json": {"schema": {"oneOf": [answer, _ref("Answers")]}}},
    )


def _batch(columns: list[Column], example: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _object(columns=_ref("Columns"))}
    if columns:
        body["example"] = {"columns": {name: [value] for name, value in example.items()}}
    binary = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ARROW}
    return _operation(
        "Predict for a table: columns in JSON, or an Arrow IPC stream or file",
        {"application/json": body, **binary},
        {"application/json": {"schema": _ref("AnswersByColumn")}, **binary},
    )


def _operation(summary: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problem = {"application/json": {"schema": _ref("Problem")}}
    problems = {
        status: {"description": text, "content": problem} for status, text in PROBLEMS.items()
    }
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
    found = {"description": summary, "content": {kind: {}}}
    return {"summary": summary, "responses": dict.fromkeys(("200", *further), found)}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
