"""Reading objects from S3 when responses are incomplete or wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError

from lambda_handler.aws.objects import S3Objects
from lambda_handler.clock import Deadline
from lambda_handler.errors import DeadlineError, IntegrityError, UnavailableError
from lambda_handler.log import Log
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock

CONTENT = b"0123456789"


class Breaking(io.BytesIO):
    """A body whose connection breaks after a few bytes."""

    def __init__(self, content: bytes, error: Exception | None) -> None:
        super().__init__(content)
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.error is not None and self.tell():
            raise self.error
        return super().read(3 if self.error is not None else size)


@dataclass
class Client:
    """An S3 client with one object; each response but the first fails with the next of *errors*."""

    errors: list[Exception | None] = field(default_factory=list)
    change: Callable[[dict[str, Any]], None] = lambda _: None
    asked: list[str] = field(default_factory=list)

    def get_object(self, *, Bucket: str, Key: str, Range: str, IfMatch: str = "") -> dict[str, Any]:  # noqa: N803 - boto's names
        self.asked.append(f"{Bucket}/{Key} {Range} {IfMatch}".strip())
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        error = self.errors.pop(0) if IfMatch and self.errors else None
        answer = {"Body": Breaking(CONTENT[first : last + 1], error), "ETag": '"1"', "ContentRange": "bytes 0-0/10"}
        self.change(answer)
        return answer


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


def objects(client: Client, clock: SteppingClock, seconds: float = 60.0) -> S3Objects:
    return S3Objects(lambda: client, Retry(Deadline.after(seconds, clock), Log(), lambda: 0.0))


@pytest.mark.parametrize(
    "error",
    [
        IncompleteReadError(actual_bytes=3, expected_bytes=10),
        ReadTimeoutError(endpoint_url="http://s3"),
        urllib3.exceptions.SSLError("bad record"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_resumes_where_a_connection_broke(clock: SteppingClock, error: Exception) -> None:
    client = Client(errors=[error, error])

    content = b"".join(objects(client, clock).open("b", "k").read(1, 10))

    assert content == CONTENT[1:]
    assert client.asked == [
        "b/k bytes=0-0",
        'b/k bytes=1-9 "1"',
        'b/k bytes=4-9 "1"',
        'b/k bytes=7-9 "1"',
    ]
    assert len(clock.slept) == 2


def test_resumes_after_a_response_that_ends_early(clock: SteppingClock) -> None:
    client = Client()

    def shorten(answer: dict[str, Any]) -> None:
        answer["Body"] = Breaking(answer["Body"].getvalue()[:4], None)

    client.change = shorten

    assert b"".join(objects(client, clock).open("b", "k").read(0, 10)) == CONTENT
    assert client.asked[1:] == ['b/k bytes=0-9 "1"', 'b/k bytes=4-9 "1"', 'b/k bytes=8-9 "1"']


def test_gives_up_after_responses_without_any_bytes(clock: SteppingClock) -> None:
    client = Client()
    stored = objects(client, clock).open("b", "k")
    client.change = lambda answer: answer.update(Body=io.BytesIO())

    with pytest.raises(UnavailableError, match="s3://b/k ended after 0 of 10 bytes"):
        list(stored.read(0, 10))


def test_refuses_a_response_that_is_not_a_range(clock: SteppingClock) -> None:
    client = Client(change=lambda answer: answer.pop("ContentRange"))

    with pytest.raises(UnavailableError, match="returned no ContentRange or no ETag for s3://b/k"):
        objects(client, clock).open("b", "k")


def test_requests_nothing_beyond_the_end(clock: SteppingClock) -> None:
    client = Client()
    stored = objects(client, clock).open("b", "k")

    assert (stored.size, stored.name) == (10, "s3://b/k")
    assert b"".join(stored.read(8, 20)) == b"89"
    assert b"".join(stored.read(10, 20)) == b"".join(stored.read(3, 3)) == b""


def test_stops_at_the_deadline_between_two_chunks(clock: SteppingClock) -> None:
    stored = objects(Client(errors=[ConnectionResetError()]), clock).open("b", "k")
    pieces = stored.read(0, 10)
    next(pieces)
    clock.time += 100

    with pytest.raises(DeadlineError, match="reading s3://b/k"):
        next(pieces)


@pytest.mark.parametrize(
    ("code", "said"),
    [("PreconditionFailed", "was replaced while it was being read"), ("InvalidRange", "s3://b/k is empty")],
)
def test_an_invalid_range_is_explained(clock: SteppingClock, code: str, said: str) -> None:
    def refuse(_: object) -> None:
        raise ClientError({"Error": {"Code": code}}, "GetObject")

    with pytest.raises(IntegrityError, match=said):
        objects(Client(change=refuse), clock).open("b", "k")
