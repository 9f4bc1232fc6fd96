"""JSON in slices has the same values as the whole, and a key that occurs twice is found."""

import json
import random
from typing import Any

import pytest

from machinery.tests.serving.calls import PLAIN
from rung_ops.model import json_text
from rung_ops.model.columns import columns_of
from rung_ops.model.rows import Reader, Refusal

READER = Reader(
    columns_of(
        {
            "columns": [
                PLAIN | {"name": "n", "dtype": "int", "polars": "Int64"},
                PLAIN | {"name": "text", "dtype": "str", "polars": "String", "required": False},
                PLAIN | {"name": "at", "dtype": "date", "polars": "Date", "required": False},
            ]
        }
    )
)
TEXTS = ["", "},{", '"},{"', "\\", '",', "null,", "a, b", "é", "]}", "[{", None]
UNKNOWN = [[{"n": 1}, {"n": 2}], {"a": {"n": 3}}, '{"n": 4}', [[], [{}]]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut bodies into slices of a few values."""
    monkeypatch.setattr(json_text, "SLICE", 40)


def rows(seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    drawn: list[dict[str, Any]] = []
    for number in range(draw.randint(1, 40)):
        row: dict[str, Any] = {"n": number}
        if draw.random() < 0.7:
            row["text"] = draw.choice(TEXTS)
        if draw.random() < 0.3:
            row["at"] = draw.choice(["2026-01-31", None])
        if draw.random() < 0.3:
            row["unknown"] = draw.choice(UNKNOWN)
        drawn.append(row)
    return drawn


@pytest.mark.parametrize("seed", range(40))
def test_slices_have_the_values_of_the_whole(seed: int) -> None:
    sent = rows(seed)
    kind = {0: {}, 1: {"indent": 1}, 2: {"separators": (",", ":")}}[seed % 3]
    body = json.dumps(sent, ensure_ascii=seed % 2 == 0, **kind).encode()
    names = ("n", "text", "at")
    columns = {name: [row.get(name) for row in sent] for name in names}
    tables = [
        READER.table(READER.many(body, 40)),
        READER.columnar(json.dumps({"columns": columns}, **kind).encode(), 40),
    ]

    for table in tables:
        assert table.frame["n"].to_list() == columns["n"]
        assert table.frame["text"].to_list() == columns["text"]
        assert table.frame["at"].cast(str).to_list() == columns["at"]
        missing = {
            name: [at for at, value in enumerate(columns[name]) if value is None]
            for name in names[1:]
        }
        assert table.missing == {name: at for name, at in missing.items() if at}


@pytest.mark.parametrize("seed", range(20))
def test_a_fault_is_found_where_it_is(seed: int) -> None:
    sent = rows(seed)
    at = random.Random(seed).randrange(len(sent))
    columns = {"n": [row["n"] for row in sent], "text": [row.get("text") for row in sent]}
    columns["n"][at] = sent[at]["n"] = 1.5  # type: ignore[call-overload]
    refused = []
    for read, body in ((READER.many, sent), (READER.columnar, {"columns": columns})):
        with pytest.raises(Refusal) as refusal:
            read(json.dumps(body).encode(), 40)
        refused.append((refusal.value.row, refusal.value.column))

    assert refused == [(at + 1, "n")] * 2


@pytest.mark.parametrize("end", ["", ",]", "]x", ", 7]", ", {]", ', {"n": "\xff"}]'])
def test_what_is_not_json_is_refused_as_the_whole_is(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps([{"n": number} for number in range(30)])[:-1] + end
    messages = []
    for size in (40, 1_000_000):
        monkeypatch.setattr(json_text, "SLICE", size)
        with pytest.raises(Refusal) as refused:
            READER.many(body.encode("latin-1"), 40)
        messages.append(refused.value.message)

    assert messages[0] == messages[1]


def test_rows_are_counted_before_they_are_decoded() -> None:
    many = [{"n": "no number", "text": "{"}] * 41
    columns = {"columns": {"n": ["no number"] * 41, "text": ["{"] * 41}}
    for read, body in ((READER.many, many), (READER.columnar, columns)):
        with pytest.raises(Refusal) as refused:
            read(json.dumps(body).encode(), 40)
        assert refused.value.status == 413
        assert "more than 40 rows" in refused.value.message
    texts = [{"n": number, "text": "},{ {"} for number in range(30)]
    assert len(READER.many(json.dumps(texts).encode(), 30)) == 30
    with pytest.raises(Refusal, match="more than 29 rows"):
        READER.many(json.dumps(texts).encode(), 29)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ('{"n": 1, "n": 1}', "n"),
        ('{"n": 1, "at": null, "at": null}', "at"),
        ('{"n": 1, "text": "a", "text": null}', "text"),
        (r'{"n": 1, "\u006e": 2}', "n"),
        (r'{"n": 1, "text": "a", "te\u0078t": "b"}', "text"),
        (r'{"n": 1, "n": 2, "\u0022\u0022": 0}', "n"),
        (f'{{"n": 1, "x": {"9" * 5000}, "x": 1}}', "x"),
        ('{"n": 1, "x": 1, "x": 2}', "x"),
        ('{"n": 1, "text": "\\"", "text": "\\""}', "text"),
        ('{"n": 1, "text": "a"}', None),
        ('{"n" : 1, "text" : null, "at": null}', None),
        ('{"n": 1, "text": "\\"text\\": \\"n\\": \\\\"}', None),
        (r'{"n": 1, "a\"b": 1, "a\u0022c": 2, "x": {"n": 1, "text": "n"}}', None),
    ],
)
def test_a_key_that_occurs_twice_is_refused(row: str, key: str | None) -> None:
    bodies = [
        (READER.one, (row.encode(),), 1),
        (READER.many, (f'[{{"n": 1}}, {row}]'.encode(), 9), 2),
        (READER.many, (f"[{', '.join([row] * 9)}]".encode(), 9), 1),
    ]
    for read, sent, number in bodies:
        if key is None:
            assert read(*sent)  # type: ignore[operator]
            continue
        with pytest.raises(Refusal) as refused:
            read(*sent)  # type: ignore[operator]
        assert refused.value.message == f"row {number}, column `{key}`: occurs twice"


@pytest.mark.parametrize("depth", [200, 2000, 100_000])
def test_a_key_that_occurs_twice_among_many_or_in_a_deep_body_is_found_at_once(depth: int) -> None:
    """To look for each key in the text took hours for a body of 16 MB, and nothing else was answered."""
    many = ", ".join(f'"k{number}": 1' for number in range(40_000))
    body = f'{{"n": 1, "x": {"[" * depth}{"]" * depth}, "x": 1}}'.encode()

    with pytest.raises(Refusal, match="column `z`: occurs twice"):
        READER.one(f'{{"n": 1, {many}, "z": 1, "\\u007a": 2}}'.encode())
    with pytest.raises(Refusal, match="occurs twice|nested too deeply"):
        READER.one(body)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('{"columns": {"n": [1], "n": [2]}}', "n"),
        ('{"columns": {"n": [1], "x": 1, "x": 2}}', "x"),
        ('{"columns": {"n": [1]}, "columns": {"n": [2]}}', "columns"),
        ('{"columns": {"n": [1]}, "id": 1, "id": 2}', "id"),
        ('{"columns": {"n": [1], "text": ["\\"n\\": 1"], "x": {"n": 1}}, "id": "n"}', None),
    ],
)
def test_a_column_that_occurs_twice_is_refused(body: str, key: str | None) -> None:
    if key is None:
        assert READER.columnar(body.encode(), 9).frame.height == 1
        return
    with pytest.raises(Refusal) as refused:
        READER.columnar(body.encode(), 9)
    assert refused.value.message == f"column `{key}`: occurs twice"
