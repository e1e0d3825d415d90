"""The models of AWS services."""

from __future__ import annotations

import os
from pathlib import Path

import botocore.config
import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError

from lambda_handler.aws.models import model_loader

SERVICE = "service-2"


def test_loads_what_botocore_loads() -> None:
    wanted = botocore.loaders.create_loader().load_service_model("ecr-public", SERVICE)

    assert model_loader(None).load_service_model("ecr-public", SERVICE) == wanted


def test_looks_into_the_folder_of_one_service_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    listdir = os.listdir

    def look(path: str) -> list[str]:
        looked.append(Path(path).name)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", look)
    model_loader.cache_clear()

    model_loader(None).load_service_model("ecr-public", SERVICE)

    assert set(looked) - {"data", "models"} == {"ecr-public"}


def test_names_a_service_that_does_not_exist() -> None:
    session = botocore.session.Session()
    session.register_component("data_loader", model_loader(None))

    with pytest.raises(BotoCoreError, match="no-such-service"):
        session.create_client("no-such-service", region_name="us-east-1")


def test_reads_models_from_other_folders_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_MODELS", str(tmp_path))
    model = tmp_path / "ecr-public/2020-10-30/service-2.json"
    model.parent.mkdir(parents=True)
    model.write_text('{"metadata": {"serviceId": "ours"}}')

    found = model_loader(f"{os.pathsep}$OTHER_MODELS{os.pathsep}/no/such/folder").load_service_model(
        "ecr-public", SERVICE
    )

    assert found["metadata"]["serviceId"] == "ours"
