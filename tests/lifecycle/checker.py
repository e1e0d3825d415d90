"""Check the registry against the results that concurrent operations allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .course import Deployed
from .declarations import has_record, with_children
from .model import KINDS, Expectation, Operation
from .previous_state import Digests, Key, tags_of
from .registry import ManualChanges, World, with_names
from .stack import Stack


@dataclass
class Checker:
    """
    Compares the actual state with the allowed ones.

    Attributes:
        operations: The concurrent operations, which started from the same state.
        stacks: All stacks.
        manual_changes: The actions of people in the meantime.
    """

    world: World
    operations: Sequence[Operation]
    stacks: Sequence[Stack]
    manual_changes: ManualChanges

    def __post_init__(self) -> None:
        self.before, self.after = self.operations[0].start, self.world.state()

    def check(self) -> None:
        """
        Check all tags and images.

        Raises:
            AssertionError: One is not in an allowed state.
        """
        expectations = self._expectations()
        keys = sorted({*self.before.tags, *self.after.tags, *expectations, *self.manual_changes.tags})
        wrong = []
        for key in keys:
            allowed = self._allowed(key, expectations.get(key))
            if self.after.tags.get(key) not in allowed.digests:
                wrong.append(self._described(key, allowed))
        assert not wrong, "\n".join(wrong)
        for name in self.before.images:
            self._check_images(name)

    def _expectations(self) -> dict[Key, Expectation]:
        apart = [operation.expectations for operation in self.operations]
        together: dict[Key, Expectation] = {}
        for expectations in apart:
            for key, expected in expectations.items():
                together[key] = _either(together[key], expected) if key in together else expected
        if len(self.operations) > 1:
            for key, expected in together.items():
                self._let_either_win(key, expected)
        return together

    def _let_either_win(self, key: Key, expected: Expectation) -> None:
        """If two stacks deploy a tag at the same time, either may win, but the tag must exist."""
        involved = [each for each in self.operations if key in each.all_keys()]
        if len(involved) < len(self.operations):
            return
        # A failed deployment gives back what it took over from the other one, even if that failed, too.
        expected.digests |= {digest for each in involved for change in each.changes for digest in each.digests(change)}
        expected.digests |= {self.before.tags.get(key)}
        live = [now for _, now in self._live() if key in tags_of(now.properties)]
        # "Not restored": a declaration without a record, and another stack's DESTROY.
        may_be_lost = any(each.deletes_anything for each in involved) and not any(
            has_record(now.properties) for now in live
        )
        # "Not restored": a tag that another stack moved in the seconds before, while reads still showed an older state.
        may_be_lost = may_be_lost or any(None in each.origin.extra.get(key, ()) for each in involved)
        if live and not may_be_lost and self.before.tags.get(key) is not None:
            expected.digests -= {None}
            expected.reason += "; never lost"

    def _allowed(self, key: Key, expected: Expectation | None) -> Expectation:
        """Return the images that a tag may have, including those that people put it to."""
        expected = expected or self._uninvolved(key)
        if moves := self.manual_changes.tags.get(key):
            expected = _moved(expected, moves)
            if expected.kind == "undone" and any(each.around.lag_seconds for each in self.operations):
                # "Not restored": a tag that someone moves while reads still show an older image.
                changes = [(each, change) for each in self.operations for change in each.changes]
                expected.digests |= {digest for each, change in changes for digest in each.digests(change)}
        if expected.digests & self.manual_changes.images.get(key[0], set()):
            # "Not restored": an image that someone deleted.
            return Expectation(expected.kind, expected.digests | {None}, expected.reason)
        return expected

    def _uninvolved(self, key: Key) -> Expectation:
        """
        Return the expectation for a tag that no operation declares or drops.

        "If a tag cannot be removed because an index lists its image, it is removed together with that index."
        """
        before = self.before.tags.get(key)
        is_declared = any(key in tags_of(now.properties) and now.digest == before for _, now in self._live())
        owners = [each for each in self.operations if (key, before) in each.own_records]
        may_be_deleted = any(part == (key[0], before) for each in owners for part in each.may_be_deleted())
        gone = {None} if may_be_deleted and not is_declared else set()
        return Expectation("kept", {before, *gone}, "no operation involves it")

    def _described(self, key: Key, allowed: Expectation) -> str:
        names = ", ".join(sorted(str(found) for found in allowed.digests))
        was, now = self.before.tags.get(key), self.after.tags.get(key)
        return with_names(f"{key[0]}:{key[1]} was at {was}, is at {now}; allowed: {names} ({allowed.reason})")

    def _check_images(self, name: str) -> None:
        """Check that only allowed images were deleted, and that new images are declared or parts of declared ones."""
        before, after, people = (
            self.before.images[name],
            self.after.images[name],
            self.manual_changes.images.get(name, set()),
        )
        may_be_deleted = {digest for each in self.operations for home, digest in each.may_be_deleted() if home == name}
        may_be_new = {digest for each in self.operations for home, digest in each.may_be_new() if home == name}
        lost = before - after - people
        assert lost <= may_be_deleted, with_names(f"images of {name} were deleted: {sorted(lost - may_be_deleted)}")
        missed = {digest for digest in lost if self._is_needed(name, digest)}
        assert not missed, with_names(f"declared images of {name} were deleted: {sorted(missed)}")
        added = after - before - may_be_new - self.manual_changes.pushed.get(name, set())
        assert not added, with_names(f"images that are not declared were put into {name}: {sorted(added)}")

    def _is_needed(self, name: str, digest: str) -> bool:
        for stack, now in self._live():
            # A person may have deleted an index with its last tag. Then nothing lists its images.
            held = {now.digest} if now.digest in {digest, *self.before.images[name]} else set()
            if (name, digest) in set(with_children(now.properties, held)):
                # "Not restored": a declaration without a record, and another stack's DESTROY.
                others = any(each.stack is not stack and each.deletes_anything for each in self.operations)
                if has_record(now.properties) or not others:
                    return True
        return False

    def _live(self) -> Iterator[tuple[Stack, Deployed]]:
        # A resource whose deletion got no response is still in its stack, although it may have been deleted.
        removed = {(id(each.stack), name) for each in self.operations for name in each.deployment.removed}
        for stack in self.stacks:
            for name, now in stack.resources.items():
                if (id(stack), name) not in removed:
                    yield stack, now


def _either(one: Expectation, other: Expectation) -> Expectation:
    first = min(one.kind, other.kind, key=KINDS.index)
    return Expectation(first, one.digests | other.digests, f"{one.reason}; {other.reason}")


def _moved(expected: Expectation, moves: Sequence[str | None]) -> Expectation:
    last: Digests = {moves[-1]}
    if expected.kind in {"put", "undone"}:
        return Expectation(expected.kind, expected.digests | set(moves), f"{expected.reason}; people moved it")
    if expected.kind == "removed" and last <= expected.digests:
        # They put the tag to the image that it already had.
        last |= {None}
    return Expectation(expected.kind, last, "people moved it")
