"""A review reads all records of a repository at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from cdk_ecrpublic._assets.lambda_handler.aws.parameters import Parameters
from cdk_ecrpublic._assets.lambda_handler.errors import AccessError, UnavailableError
from cdk_ecrpublic.review.live.records import KnownParameters

FOLDER = "/cdk-ecrpublic/state/123456789012/acme--agent"
RECORDS = {f"{FOLDER}/moving/eu-west-1.Agent.One": "1", f"{FOLDER}/{'a' * 64}/eu-west-1.Agent.Two": "2"}


class Store:
    """Lists records; with a limit, a list of the whole repository is refused."""

    def __init__(self, error: type[UnavailableError | AccessError] | None = None) -> None:
        self.error, self.asked = error, list[tuple[str, bool]]()

    def list(self, path: str, *, recursive: bool = False) -> Mapping[str, str]:
        self.asked.append((path, recursive))
        if recursive and self.error is not None:
            message = "refused"
            raise self.error(message, operation="ssm:GetParametersByPath")
        return {name: text for name, text in RECORDS.items() if name.startswith(f"{path}/")}


def known(store: Store) -> KnownParameters:
    return KnownParameters(cast("Parameters", store))


def test_one_request_reads_all_records_of_a_repository() -> None:
    parameters = known(store := Store())

    lists = [parameters.list(f"{FOLDER}/{segment}") for segment in ("moving", "a" * 64, "undo", "moving")]

    assert [list(each.values()) for each in lists] == [["1"], ["2"], [], ["1"]]
    assert store.asked == [(FOLDER, True)]


def test_reads_the_paths_of_a_repository_with_too_many_records() -> None:
    parameters = known(store := Store(UnavailableError))

    assert list(parameters.list(f"{FOLDER}/moving").values()) == ["1"]
    assert list(parameters.list(f"{FOLDER}/undo").values()) == []
    assert store.asked == [(FOLDER, True), (f"{FOLDER}/moving", False), (f"{FOLDER}/undo", False)]


def test_does_not_ask_again_after_a_denial() -> None:
    parameters = known(store := Store(AccessError))

    for segment in ("moving", "undo"):
        with pytest.raises(AccessError, match="refused"):
            parameters.list(f"{FOLDER}/{segment}")
    assert store.asked == [(FOLDER, True)]


def test_lists_the_records_of_version_0_1_by_path() -> None:
    parameters = known(store := Store())

    assert parameters.list("/cdk-ecrpublic/acme/agent") == {}
    assert store.asked == [("/cdk-ecrpublic/acme/agent", False)]
