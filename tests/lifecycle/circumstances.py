"""The circumstances of a deployment: order of events, losses, failures, time, and actions of people."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from cdk_ecrpublic.sandbox import Fault
from lambda_handler.entrypoint import RESPONSE_RESERVE_SECONDS, UNDO_RESERVE_SECONDS
from lambda_handler.retry import ATTEMPTS

from .cloud import ServiceFault
from .course import SMOOTH, Course, Delivery
from .declarations import TAGS
from .function import Run
from .registry import CONSISTENT_AFTER_SECONDS, HOMES, RESIDENT, SOURCE_TAG, ManualAction

SURVIVABLE_FAULTS = 3
"""How many transient failures of one request the handler must survive."""

LAGS_SECONDS = (0.0, 0.0, 5.0, 10.0)
"""The age of stale reads in seconds."""

API_OPERATIONS = (
    "DescribeRepositories",
    "DescribeImages",
    "BatchDeleteImage",
    "BatchCheckLayerAvailability",
)
PARAMETER_OPERATIONS = ("GetParameter", "PutParameter", "DeleteParameter", "GetParametersByPath")
STACK_OPERATIONS = ("DescribeStacks", "DescribeStackEvents", "DescribeStackResource")
HTTP_OPERATIONS = ("GetManifest", "GetBlob", "DownloadBlob", "StartUpload", "UploadChunk", "CompleteUpload")

USUAL_SECONDS = 2.0
"""If a service takes longer for a request, a deployment may run out of time."""

WARM_REPEAT_SECONDS = (8.0, 45.0, 150.0, 400.0)
COLD_REPEAT_SECONDS = (15.0, 45.0, 150.0, 400.0, 5000.0)
"""
Decision 0019, "When the function acts on a request": a cold function acts on a request of less than ten seconds,
because it cannot know that another instance has responded.
"""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """
    Everything about a deployment that is not in the template.

    Attributes:
        faults: Faults of the registry, from the first event until the rollback is complete or stuck.
        service_faults: Faults of other services: the operation, the kind, and how often.
        lag_seconds: The age of reads.
        waited_seconds: The time since the last deployment.
        manual_actions: The actions of people in the meantime.
    """

    course: Course = SMOOTH
    faults: tuple[Fault, ...] = ()
    service_faults: tuple[tuple[str, ServiceFault, int], ...] = ()
    lag_seconds: float = 0.0
    waited_seconds: float = CONSISTENT_AFTER_SECONDS
    manual_actions: tuple[ManualAction, ...] = ()

    @property
    def are_survivable(self) -> bool:
        """Whether the handler must succeed in spite of these faults."""
        times = [*(fault.times for fault in self.faults), *(times for _, _, times in self.service_faults)]
        transient = all(fault.code not in {"LimitExceededException", "AccessDeniedException"} for fault in self.faults)
        few = None not in times and sum(time or 0 for time in times) <= SURVIVABLE_FAULTS
        return not self.is_late and transient and few and not self.denied and not self.manual_actions

    @property
    def is_late(self) -> bool:
        """Whether a function may have too little time, or a response may not arrive."""
        return any(map(_is_late, (*self.course.deliveries, *self.course.undoing)))

    @property
    def are_smooth(self) -> bool:
        """Whether there are no faults, delays or actions of people."""
        deliveries = (*self.course.deliveries, *self.course.undoing)
        return not (self.faults or self.service_faults or self.manual_actions) and all(
            each == Delivery() for each in deliveries
        )

    @property
    def denied(self) -> frozenset[str]:
        """The operations that the function has no permission for."""
        return frozenset(operation for operation, kind, _ in self.service_faults if kind == "denied")


def _is_late(delivery: Delivery) -> bool:
    return delivery.lost in {"request", "answer"} or delivery.queued_seconds > 0 or any(map(_is_slow, delivery.runs))


def _is_slow(run: Run) -> bool:
    return replace(run, pace=()) != Run(pace=()) or max(run.pace) > USUAL_SECONDS


def orders() -> st.SearchStrategy[tuple[int, ...]]:
    return st.permutations(range(3)).map(tuple)


USUAL = st.builds(Delivery)


def courses(deliveries: st.SearchStrategy[Delivery] = USUAL) -> st.SearchStrategy[Course]:
    return st.builds(
        Course,
        order=orders(),
        together=st.booleans(),
        other_fails_after=st.sampled_from([None, None, 3, 2, 1]),
        deliveries=st.lists(deliveries, max_size=3).map(tuple),
        undoing=st.lists(deliveries, max_size=2).map(tuple),
        updates_replaced=st.booleans(),
        on_failure=st.sampled_from(["roll back", "roll back", "roll back", "keep", "delete"]),
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


def puts_with_unknown_outcome() -> st.SearchStrategy[tuple[Fault, ...]]:
    """The response to one put is lost, and the next attempts are refused."""
    lost = Fault(operation="PutImage", drop="after")
    # Both faults count the first request, so these skip it.
    refused = (
        Fault(operation="PutImage", code="LimitExceededException", times=2),
        Fault(operation="PutImage", code="ServerException", times=ATTEMPTS),
    )
    return st.builds(
        lambda tag, refusal: (replace(lost, reference=tag), replace(refusal, reference=tag)),
        st.sampled_from(TAGS),
        st.sampled_from(refused),
    )


def faults_of_services() -> st.SearchStrategy[tuple[str, ServiceFault, int]]:
    operations = st.sampled_from((*PARAMETER_OPERATIONS, *STACK_OPERATIONS))
    passing = st.tuples(operations, st.sampled_from(["busy", "broken"]), st.sampled_from([1, 3, 7, 50]))
    denied = st.tuples(operations, st.just("denied"), st.just(10_000))
    return st.one_of(passing, passing, passing, denied)


def manual_actions() -> st.SearchStrategy[ManualAction]:
    when = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 60.0])
    home, tag = st.sampled_from(HOMES), st.sampled_from((*TAGS, *TAGS, SOURCE_TAG))
    image = st.integers(0, len(RESIDENT) - 1)
    put = st.builds(ManualAction, when, st.just("put a tag"), home, tag, image)
    delete = st.builds(ManualAction, when, st.just("delete a tag"), home, tag)
    delete_image = st.builds(ManualAction, when, st.just("delete an image"), home, image=image)
    return st.one_of(put, put, delete, delete_image)


def paces() -> st.SearchStrategy[tuple[float, ...]]:
    """How long requests take. In one run, some may take seconds."""
    return st.lists(st.sampled_from([0.05, 0.1, 0.5, 2.0]), min_size=1, max_size=4).map(tuple)


def slow_deliveries() -> st.SearchStrategy[Delivery]:
    reserve = RESPONSE_RESERVE_SECONDS + UNDO_RESERVE_SECONDS
    short = st.builds(Run, seconds=st.floats(reserve + 1, reserve + 60).map(round), tick_seconds=st.just(1.0))
    slow = st.builds(Run, pace=st.sampled_from([(5.0,), (20.0,), (0.05, 30.0), (60.0,)]))
    queued = st.builds(Delivery, queued_seconds=st.sampled_from([20.0, 200.0, 310.0, 5000.0]), is_cold=st.booleans())
    return st.one_of(st.builds(Delivery, runs=st.tuples(short | slow)), queued)


def terminated_deliveries() -> st.SearchStrategy[Delivery]:
    """The function is terminated during its work, once or several times."""
    ended = st.builds(Run, ends_before=st.integers(0, 25))
    return st.builds(Delivery, runs=st.lists(ended, min_size=1, max_size=3).map(tuple))


def repeated_deliveries() -> st.SearchStrategy[Delivery]:
    warm = st.builds(Delivery, later=st.tuples(st.sampled_from(WARM_REPEAT_SECONDS)))
    cold = st.builds(Delivery, later=st.tuples(st.sampled_from(COLD_REPEAT_SECONDS)), is_cold=st.just(value=True))
    unconfirmed = st.builds(Delivery, lost=st.just("confirmation"))
    # If one of two deliveries fails, they undo each other's work. Only a lock could prevent that.
    twice = st.builds(Delivery, twice=st.sampled_from(["at once", "again"]))
    return st.one_of(warm, cold, unconfirmed, twice)


def lost_deliveries() -> st.SearchStrategy[Delivery]:
    return st.builds(Delivery, lost=st.sampled_from([None, "request", "answer"]))


def paced_deliveries() -> st.SearchStrategy[Delivery]:
    return st.builds(Delivery, runs=st.tuples(st.builds(Run, pace=paces())))


def circumstances() -> st.SearchStrategy[Circumstances]:
    lag = st.sampled_from(LAGS_SECONDS)
    waited = st.sampled_from([CONSISTENT_AFTER_SECONDS, CONSISTENT_AFTER_SECONDS, 2.0])
    some_faults = st.lists(faults(), min_size=1, max_size=2).map(tuple) | puts_with_unknown_outcome()
    service_faults = st.lists(faults_of_services(), max_size=2).map(tuple)
    some_actions = st.lists(manual_actions(), min_size=1, max_size=2).map(tuple)
    common = {"lag_seconds": lag, "waited_seconds": waited}
    return st.one_of(
        st.builds(Circumstances, course=courses(), **common),
        st.builds(Circumstances, course=courses(), faults=some_faults, service_faults=service_faults, **common),
        st.builds(Circumstances, course=courses(), service_faults=service_faults, **common),
        st.builds(Circumstances, course=courses(repeated_deliveries()), **common),
        st.builds(Circumstances, course=courses(lost_deliveries()), **common),
        st.builds(Circumstances, course=courses(terminated_deliveries()), **common),
        st.builds(Circumstances, course=courses(slow_deliveries()), **common),
        st.builds(Circumstances, course=courses(paced_deliveries()), manual_actions=some_actions, **common),
    )
