"""
Stands in for the parts of the ``docker`` command line that the cdk needs.

There is no Docker engine where the tests run. ``build`` makes an image of the
folder's files with the sandbox's own tool, and ``push`` pushes it to the
sandbox's private ECR, whatever the host's name is; what was built and tagged is
kept in the folder that ``STAND_IN_STATE`` names.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from cdk_ecrpublic.sandbox.images import build_image, push


def main(arguments: Sequence[str]) -> int:
    """Run one command. Like Docker, it exits with 1 if the image does not exist."""
    state = Path(os.environ["STAND_IN_STATE"])
    command, name = arguments[0], arguments[-1]
    if command == "login":
        sys.stdin.read()
    elif command == "inspect":
        return 0 if _file(state, name).exists() else 1
    elif command == "build":
        files = {path.name: path.read_bytes() for path in Path(name).resolve().iterdir() if path.is_file()}
        image = build_image({f"app/{file}": content for file, content in files.items()})
        _file(state, arguments[arguments.index("--tag") + 1]).write_bytes(pickle.dumps(image))
    elif command == "tag":
        _file(state, name).write_bytes(_file(state, arguments[1]).read_bytes())
    elif command == "push":
        image = pickle.loads(_file(state, name).read_bytes())  # noqa: S301 - we wrote it
        repository, _, tag = name.partition("/")[2].rpartition(":")
        host = os.environ["AWS_ENDPOINT_URL"].partition("//")[2]
        push(f"{host}/{repository}", image, [tag], login="AWS:ministack-auth-token")
    else:
        sys.stderr.write(f"the stand-in knows no docker {command}\n")
        return 2
    return 0


def _file(state: Path, name: str) -> Path:
    return state / name.replace("/", "_").replace(":", "_")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
