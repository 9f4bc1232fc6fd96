"""Releases take turns under load, and no answer is lost or made by two of them."""

from collections import Counter

import pytest

from tests.product.serving import Served, eventually, own, released, serving
from tests.product.traffic import Reply, Request, during, request

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

ROWS = 25  # of a request, next to single ones


def of_many_rows(served: Served) -> list[Request]:
    """Write requests of several rows: a JSON array, and columns; each row is in one of each."""
    written = []
    for first in range(0, len(served.rows) - ROWS + 1, ROWS):
        some = served.rows[first : first + ROWS]
        columns = {"columns": {name: [row[name] for row in some] for name in some[0]}}
        written += [request("/predict", some), request("/predict/batch", columns)]
    return written


def is_mixed(reply: Reply, served: Served) -> bool:
    """Tell whether a row of an answer is not what the release that it names gives."""
    answer, alone = reply.json, len(served.rows)
    expected = served.expected[answer["release"]]
    if reply.number < alone:
        return bool(answer["prediction"] != pytest.approx(expected[reply.number], abs=1e-5))
    first = (reply.number - alone) // 2 * ROWS  # each block of rows was sent in two forms
    return bool(answer["predictions"] != pytest.approx(expected[first : first + ROWS], abs=1e-5))


def test_fifty_swaps_under_load_fail_no_request_and_mix_no_answer(own: Served) -> None:
    own.deploy("good")
    with serving(own) as service, own.deploying() as deploy:

        def take_turns() -> None:
            for name in [own.names["other"], own.names["good"]] * 25:
                deploy(name)
                assert eventually(lambda: service.predict(own.rows[0])[1]["release"] == name), (  # noqa: B023
                    service.log.read_text()
                )

        loads = (service.bodies(), 4), (of_many_rows(own), 2)
        replies, _ = during(service.port, take_turns, *loads)

    by_release = Counter(reply.json["release"] for reply in replies if reply.status == 200)
    print(f"\n{len(replies)} answers; {by_release}")
    assert {200} == {reply.status for reply in replies}
    assert [] == [reply.number for reply in replies if is_mixed(reply, own)]
    assert set(by_release) == {own.names["good"], own.names["other"]}
    assert min(by_release.values()) > 100
