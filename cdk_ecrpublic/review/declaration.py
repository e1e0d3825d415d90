"""Write snapshots as code: a Python app or a catalog."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from .snapshot import Snapshot

_HEAD = """\
from aws_cdk import App, Stack
from constructs import Construct

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository


class PublicImages(Stack):
    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
"""

_FOOT = """

app = App()
PublicImages(app, "PublicImages")
app.synth()
"""


def as_python(snapshots: Sequence[Snapshot]) -> str:
    """Return the source of an app with one stack that declares *snapshots*."""
    return _HEAD + "\n".join(map(_repository, snapshots)) + _FOOT


def as_catalog(snapshots: Sequence[Snapshot]) -> str:
    """Return a catalog that declares *snapshots*, for `PublicImageCatalog.from_file`."""
    lines = ["repositories:"]
    for snapshot in snapshots:
        lines += [f"  {snapshot.name}:", "    images:"] if snapshot.images else []
        for digest, tags in snapshot.images.items():
            lines += [f"      - digest: {digest}", f"        tags: [{', '.join(map(_text, tags))}]"]
    return "\n".join(lines) + "\n"


def _repository(snapshot: Snapshot) -> str:
    name = _variable(snapshot.name)
    lines = [
        f"        {name} = PublicRepository.from_repository_name(\n",
        f"            self, {_text(_construct_id(snapshot.name))}, {_text(snapshot.name)}\n",
        "        )\n",
    ]
    return "".join([*lines, *_images(snapshot, name)])


def _images(snapshot: Snapshot, variable: str) -> Iterator[str]:
    for digest, tags in snapshot.images.items():
        yield (
            "        PublicImage(\n"
            "            self,\n"
            f"            {_text(f'{_construct_id(snapshot.name)}:{tags[0]}')},\n"
            f"            repository={variable},\n"
            f"            source=ImageSource.digest({_text(str(digest))}),\n"
            f"            tags=[{', '.join(map(_text, tags))}],\n"
            "        )\n"
        )


def _text(value: str) -> str:
    """Quote a string. A JSON string is also valid in Python and YAML."""
    return json.dumps(value)


def _construct_id(name: str) -> str:
    # A slash would add a level to the construct tree.
    return name.replace("/", ".")


def _variable(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", f"repository_{name}")
