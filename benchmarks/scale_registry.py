"""ECR Public with its quotas, for many functions at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cdk_ecrpublic.sandbox import Fault, Sandbox
from cdk_ecrpublic.sandbox.environment import variables
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.journal import Journal
from cdk_ecrpublic.sandbox.operations import Call
from cdk_ecrpublic.sandbox.rates import Rates
from cdk_ecrpublic.sandbox.store.images import ImageStore
from cdk_ecrpublic.sandbox.store.registries import Caller
from cdk_ecrpublic.sandbox.store.state import Repository

from .scale_quotas import Counts, Quotas
from .scale_time import Time

REPOSITORY, UPSTREAM = "acme/agent", "up/stream"

_THROTTLED = ("ThrottlingException", "TOOMANYREQUESTS")


@dataclass(slots=True)
class _Tally(Journal):
    """A journal that only counts requests, because there are too many to store."""

    counts: Counts = field(default_factory=Counts)

    def record(self, call: Call, *, error: str, **_others: object) -> None:
        """Count a request."""
        self.counts.count(call.operation, is_throttled=error in _THROTTLED)


class Registry:
    """A sandbox with two repositories: a destination and a source of copies."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._sandbox = Sandbox()
        self._sandbox.__enter__()
        self._tally = _Tally()
        self._sandbox.world.requests = self._tally
        self._uris = {}
        for name in (REPOSITORY, UPSTREAM):
            created = self._sandbox.client("ecr-public").create_repository(repositoryName=name)
            self._uris[name] = created["repository"]["repositoryUri"]

    def close(self) -> None:
        """Stop."""
        self._sandbox.__exit__()

    def environment(self) -> Mapping[str, str]:
        """Return the variables that direct AWS clients to this server."""
        return variables(self._sandbox.url, self._sandbox.account)

    def limit(self, quotas: Quotas) -> None:
        """Set the quotas, with nothing used."""
        self._sandbox.settings = quotas.settings()
        self._sandbox.world.rates = Rates(self._time.now)

    def fail(self, fault: Fault) -> None:
        """Inject a fault."""
        self._sandbox.faults.add(fault)

    def push(self, count: int, generation: int) -> list[str]:
        """Store this number of images that differ only in their annotations; return their digests."""
        image = build_image({"etc/generation": b"%d" % generation})
        push_image(self._sandbox, REPOSITORY, image)
        store = self._sandbox.store
        with store.lock:
            images = ImageStore(self._repository(REPOSITORY), "", self._sandbox.settings, store.clock())
            contents = (_annotated(image, number) for number in range(count))
            return [str(images.put(each, image.media_type, tag=None, digest=None).digest) for each in contents]

    def push_upstream(self, count: int, generation: int) -> list[tuple[str, str]]:
        """Store this number of images to copy, each with its own layer and config; return addresses and digests."""
        images = [build_image({"etc/number": b"%d.%d" % (generation, number)}) for number in range(count)]
        for image in images:
            push_image(self._sandbox, UPSTREAM, image)
        return [(f"{self._uris[UPSTREAM]}@{image.digest}", image.digest) for image in images]

    def tags(self) -> Mapping[str, str]:
        """Return the digest of each tag."""
        with self._sandbox.store.lock:
            return {name: str(tag.digest) for name, tag in self._repository(REPOSITORY).all_tags()}

    def counts(self) -> Counts:
        """Return the requests since the last call."""
        counts, self._tally.counts = self._tally.counts, Counts()
        return counts

    def _repository(self, name: str) -> Repository:
        return self._sandbox.store.repository(Caller(account=self._sandbox.account), name)


def _annotated(image: Image, number: int) -> bytes:
    return json.dumps({**json.loads(image.manifest), "annotations": {"number": str(number)}}).encode()
