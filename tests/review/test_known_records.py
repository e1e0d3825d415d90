"""A review reads all records of a repository at once, and those of all repositories if they are few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from cdk_ecrpublic._assets.lambda_handler.aws.parameters import Parameters
from cdk_ecrpublic._assets.lambda_handler.errors import AccessError, UnavailableError
from cdk_ecrpublic._assets.lambda_handler.resources.records import ROOT
from cdk_ecrpublic.review.live.records import KnownParameters

FOLDER = "/cdk-ecrpublic/state/123456789012/acme--agent"
OTHER = "/cdk-ecrpublic/state/123456789012/acme--agent--init"
RECORDS = {f"{FOLDER}/moving/eu-west-1.Agent.One": "1", f"{FOLDER}/{'a' * 64}/eu-west-1.Agent.Two": "2"}


class Store:
    """Lists records; with an error, a list of the whole repository is refused. A page has ten, or is denied."""

    def __init__(
        self, error: type[UnavailableError | AccessError] | None = None, *, others: int = 0, is_denied: bool = False
    ) -> None:
        self.error, self.asked, self.is_denied = error, list[tuple[str, bool]](), is_denied
        self.records = RECORDS | {f"{OTHER}/moving/eu-west-1.Agent.Image{number}": "3" for number in range(others)}

    def page(self, path: str, options: Mapping[str, object]) -> tuple[Mapping[str, str], str]:
        assert (path, options) == (ROOT, {"Recursive": True})
        self.asked.append((path, True))
        if self.is_denied:
            message = "denied"
            raise AccessError(message, operation="ssm:GetParametersByPath")
        return dict([*self.records.items()][:10]), "more" if len(self.records) > 10 else ""

    def list(self, path: str, *, recursive: bool = False) -> Mapping[str, str]:
        self.asked.append((path, recursive))
        if recursive and self.error is not None:
            message = "refused"
            raise self.error(message, operation="ssm:GetParametersByPath")
        return {name: text for name, text in self.records.items() if name.startswith(f"{path}/")}


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


def test_one_request_reads_the_records_of_all_further_repositories() -> None:
    parameters = known(store := Store(others=1))

    lists = [parameters.list(f"{folder}/moving") for folder in (FOLDER, OTHER, f"{OTHER}--2", OTHER)]

    assert [list(each.values()) for each in lists] == [["1"], ["3"], [], ["3"]]
    assert store.asked == [(FOLDER, True), (ROOT, True)]


@pytest.mark.parametrize("store", [Store(others=9), Store(others=9, is_denied=True)], ids=["more than ten", "denied"])
def test_reads_each_repository_if_one_request_does_not_read_all(store: Store) -> None:
    parameters = known(store)

    lists = [parameters.list(f"{folder}/moving") for folder in (FOLDER, OTHER, f"{OTHER}--2")]

    assert [len(each) for each in lists] == [1, 9, 0]
    assert store.asked == [(FOLDER, True), (ROOT, True), (OTHER, True), (f"{OTHER}--2", True)]
