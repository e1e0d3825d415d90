"""Circumstances of a deployment: the order of events, what is lost, what fails, how time passes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from cdk_ecrpublic.sandbox import Fault
from lambda_handler.entrypoint import ANSWER_SECONDS, UNDO_SECONDS
from lambda_handler.retry import ATTEMPTS
from tests.support.deployment import SMOOTH, Course, Delivery

from .declarations import TAGS

OUTLIVED = 3
"""So many transient failures of one request the handler must outlive."""

LAG_SECONDS = 20.0
"""How old reads may be: longer than a deployment without any waits, shorter than the handler's patience."""

API_OPERATIONS = (
    "DescribeRepositories",
    "DescribeImages",
    "BatchDeleteImage",
    "BatchCheckLayerAvailability",
)
OTHER_OPERATIONS = ("GetParameter", "PutParameter", "DeleteParameter", "GetParametersByPath")
HTTP_OPERATIONS = ("GetManifest", "GetBlob", "DownloadBlob", "StartUpload", "UploadChunk", "CompleteUpload")


USUAL = st.builds(Delivery)


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """
    All that the template does not say about a deployment.

    Attributes:
        faults: Of the registry, from the first event on until the rollback is over or stuck.
        busy: Operations of the services beside it, and so many requests that they throttle.
        lag_seconds: How old reads are.
        tick_seconds: What each look at the clock costs the function.
    """

    course: Course = SMOOTH
    faults: tuple[Fault, ...] = ()
    busy: tuple[tuple[str, int], ...] = ()
    lag_seconds: float = 0.0
    tick_seconds: float = 0.0

    @property
    def are_outlived(self) -> bool:
        """Whether the handler must succeed in spite of them."""
        in_time = self.tick_seconds == 0 or all(
            delivery.seconds >= Delivery.seconds for delivery in self.course.deliveries
        )
        times = [*(fault.times for fault in self.faults), *(times for _, times in self.busy)]
        transient = all(fault.code not in {"LimitExceededException", "AccessDeniedException"} for fault in self.faults)
        return in_time and transient and None not in times and sum(time or 0 for time in times) <= OUTLIVED


def orders() -> st.SearchStrategy[tuple[int, ...]]:
    return st.permutations(range(3)).map(tuple)


def courses(deliveries: st.SearchStrategy[Delivery] = USUAL) -> st.SearchStrategy[Course]:
    return st.builds(
        Course,
        order=orders(),
        together=st.booleans(),
        other_fails_after=st.sampled_from([None, None, None, 3, 2, 1]),
        deliveries=st.lists(deliveries, max_size=3).map(tuple),
        updates_replaced=st.booleans(),
    )


def faults() -> st.SearchStrategy[Fault]:
    skip, times = st.integers(0, 3), st.sampled_from([1, 1, 2, 3, 6, 8, None])
    code = st.sampled_from(
        ["ThrottlingException", "ServerException", "LimitExceededException", "AccessDeniedException"]
    )
    reference, drop = st.sampled_from([None, None, *TAGS]), st.sampled_from(["before", "after"])
    put, api, http = st.just("PutImage"), st.sampled_from(API_OPERATIONS), st.sampled_from(HTTP_OPERATIONS)
    return st.one_of(
        st.builds(Fault, operation=put, reference=reference, skip=skip, times=times, code=code),
        st.builds(Fault, operation=put, reference=reference, skip=skip, times=times, drop=drop),
        st.builds(Fault, operation=api, face=st.just("api"), skip=skip, times=times, code=code),
        st.builds(Fault, operation=api | http, skip=skip, times=times, drop=drop),
        st.builds(Fault, operation=http, skip=skip, times=times, status=st.sampled_from([429, 500, 503])),
    )


def half_known() -> st.SearchStrategy[tuple[Fault, ...]]:
    """The answer to one put is lost, and the attempts that follow are refused."""
    lost = Fault(operation="PutImage", drop="after")
    # The first request counts for both: these are hit by the second, and by the second to the last.
    refused = (
        Fault(operation="PutImage", code="LimitExceededException", times=2),
        Fault(operation="PutImage", code="ServerException", times=ATTEMPTS),
    )
    return st.builds(
        lambda tag, refusal: (replace(lost, reference=tag), replace(refusal, reference=tag)),
        st.sampled_from(TAGS),
        st.sampled_from(refused),
    )


def circumstances() -> st.SearchStrategy[Circumstances]:
    lag = st.sampled_from([0.0, LAG_SECONDS])
    some_faults = st.lists(faults(), min_size=1, max_size=2).map(tuple) | half_known()
    busy = st.lists(st.tuples(st.sampled_from(OTHER_OPERATIONS), st.sampled_from([1, 3, 5000])), max_size=1).map(tuple)
    # Two deliveries of which one fails undo each other's work; nobody but a lock could help.
    twice = st.builds(Delivery, copies=st.integers(1, 2), at_once=st.booleans())
    lost = st.builds(Delivery, lost=st.sampled_from([None, "request", "answer"]))
    reserve = ANSWER_SECONDS + UNDO_SECONDS
    late = st.builds(Delivery, seconds=st.floats(reserve + 1, reserve + 60).map(round))
    return st.one_of(
        st.builds(Circumstances, course=courses(), lag_seconds=lag),
        st.builds(Circumstances, course=courses(), lag_seconds=lag, faults=some_faults, busy=busy),
        st.builds(Circumstances, course=courses(twice), lag_seconds=lag),
        st.builds(Circumstances, course=courses(lost), lag_seconds=lag),
        st.builds(Circumstances, course=courses(late), tick_seconds=st.just(1.0)),
    )
