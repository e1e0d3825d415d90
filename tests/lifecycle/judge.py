"""Check the registry against the results that concurrent operations allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .before import Key, Places, claims_of
from .course import Deployed
from .declarations import has_record
from .model import KINDS, Operation, Verdict, parts_of
from .registry import Meddling, World, named
from .stack import Stack


@dataclass
class Judge:
    """
    Compares the actual state with the allowed ones.

    Attributes:
        operations: The concurrent operations, which started from the same state.
        stacks: All stacks.
        meddling: The actions of people in the meantime.
    """

    world: World
    operations: Sequence[Operation]
    stacks: Sequence[Stack]
    meddling: Meddling

    def __post_init__(self) -> None:
        self.before, self.after = self.operations[0].start, self.world.state()

    def judge(self) -> None:
        """
        Check all tags and images.

        Raises:
            AssertionError: One is not in an allowed state.
        """
        verdicts = self._verdicts()
        keys = sorted({*self.before.tags, *self.after.tags, *verdicts, *self.meddling.tags})
        wrong = []
        for key in keys:
            allowed = self._allowed(key, verdicts.get(key))
            if self.after.tags.get(key) not in allowed.places:
                wrong.append(self._described(key, allowed))
        assert not wrong, "\n".join(wrong)
        for name in self.before.images:
            self._judge_images(name)

    def _verdicts(self) -> dict[Key, Verdict]:
        apart = [operation.verdicts for operation in self.operations]
        together: dict[Key, Verdict] = {}
        for verdicts in apart:
            for key, verdict in verdicts.items():
                together[key] = _either(together[key], verdict) if key in together else verdict
        if len(self.operations) > 1:
            for key, verdict in together.items():
                self._let_either_win(key, verdict)
        return together

    def _let_either_win(self, key: Key, verdict: Verdict) -> None:
        """If two stacks deploy a tag at the same time, either may win, but the tag must exist."""
        involved = [each for each in self.operations if key in each.all_keys()]
        if len(involved) < len(self.operations):
            return
        # A failed deployment gives back what it took over from the other one, even if that failed, too.
        verdict.places |= {digest for each in involved for change in each.changes for digest in each.digests(change)}
        verdict.places |= {self.before.tags.get(key)}
        live = [now for _, now in self._live() if key in claims_of(now.properties)]
        # "Not restored": a declaration without a record, and another stack's DESTROY.
        may_be_lost = any(each.deletes_anything for each in involved) and not any(
            has_record(now.properties) for now in live
        )
        # "Not restored": a tag that another stack moved in the seconds before, while reads still showed an older state.
        may_be_lost = may_be_lost or any(None in each.origin.seen.get(key, ()) for each in involved)
        if live and not may_be_lost and self.before.tags.get(key) is not None:
            verdict.places -= {None}
            verdict.why += "; never lost"

    def _allowed(self, key: Key, verdict: Verdict | None) -> Verdict:
        """Return the images that a tag may have, including those that people put it to."""
        verdict = verdict or self._uninvolved(key)
        if moves := self.meddling.tags.get(key):
            verdict = _moved(verdict, moves)
            if verdict.kind == "undone" and any(each.around.lag_seconds for each in self.operations):
                # "Not restored": a tag that someone moves while reads still show an older image.
                changes = [(each, change) for each in self.operations for change in each.changes]
                verdict.places |= {digest for each, change in changes for digest in each.digests(change)}
        if verdict.places & self.meddling.images.get(key[0], set()):
            # "Not restored": an image that someone deleted.
            return Verdict(verdict.kind, verdict.places | {None}, verdict.why)
        return verdict

    def _uninvolved(self, key: Key) -> Verdict:
        """
        Return the verdict of a tag that no operation declares or drops.

        "If a tag cannot be removed because an index lists its image, it is removed together with that index."
        """
        before = self.before.tags.get(key)
        is_declared = any(key in claims_of(now.properties) and now.digest == before for _, now in self._live())
        owners = [each for each in self.operations if (key, before) in each.own_records]
        may_go = any(part == (key[0], before) for each in owners for part in each.may_go())
        gone = {None} if may_go and not is_declared else set()
        return Verdict("kept", {before, *gone}, "no operation involves it")

    def _described(self, key: Key, allowed: Verdict) -> str:
        places = ", ".join(sorted(str(place) for place in allowed.places))
        was, now = self.before.tags.get(key), self.after.tags.get(key)
        return named(f"{key[0]}:{key[1]} was at {was}, is at {now}; allowed: {places} ({allowed.why})")

    def _judge_images(self, name: str) -> None:
        """Check that only allowed images were deleted, and that new images are declared or parts of declared ones."""
        before, after, people = self.before.images[name], self.after.images[name], self.meddling.images.get(name, set())
        may_go = {digest for each in self.operations for home, digest in each.may_go() if home == name}
        may_come = {digest for each in self.operations for home, digest in each.may_come() if home == name}
        lost = before - after - people
        assert lost <= may_go, named(f"images of {name} were deleted: {sorted(lost - may_go)}")
        missed = {digest for digest in lost if self._is_needed(name, digest)}
        assert not missed, named(f"declared images of {name} were deleted: {sorted(missed)}")
        came = after - before - may_come - self.meddling.brought.get(name, set())
        assert not came, named(f"images that are not declared were put into {name}: {sorted(came)}")

    def _is_needed(self, name: str, digest: str) -> bool:
        for stack, now in self._live():
            if (name, digest) in set(parts_of(now.properties, {now.digest})):
                # "Not restored": a declaration without a record, and another stack's DESTROY.
                others = any(each.stack is not stack and each.deletes_anything for each in self.operations)
                if has_record(now.properties) or not others:
                    return True
        return False

    def _live(self) -> Iterator[tuple[Stack, Deployed]]:
        # A resource whose deletion got no response is still in its stack; it may be gone nevertheless.
        removed = {(id(each.stack), name) for each in self.operations for name in each.deployment.removed}
        for stack in self.stacks:
            for name, now in stack.resources.items():
                if (id(stack), name) not in removed:
                    yield stack, now


def _either(one: Verdict, other: Verdict) -> Verdict:
    first = min(one.kind, other.kind, key=KINDS.index)
    return Verdict(first, one.places | other.places, f"{one.why}; {other.why}")


def _moved(verdict: Verdict, moves: Sequence[str | None]) -> Verdict:
    last: Places = {moves[-1]}
    if verdict.kind in {"put", "undone"}:
        return Verdict(verdict.kind, verdict.places | set(moves), f"{verdict.why}; people moved it")
    if verdict.kind == "removed" and last <= verdict.places:
        # They put the tag to the image that it already had.
        last |= {None}
    return Verdict(verdict.kind, last, "people moved it")
