"""The models of AWS services, which botocore reads from its package."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from botocore.loaders import Loader


class ModelLoader(Loader):
    """
    Loads models without searching the folders of all services.

    To check that a service exists, botocore looks into 400 folders, twice for
    each client. That takes half of the time that a client takes.
    """

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the names of all folders. Loading a model fails if a service has none of this type."""
        del type_name
        folders = [folder for folder in map(Path, self.search_paths) if folder.is_dir()]
        return [each.name for folder in folders for each in folder.iterdir()]


@functools.cache
def model_loader(data_path: str | None) -> ModelLoader:
    """
    Return the loader of botocore's own models, and of those in other folders.

    Args:
        data_path: The variable ``AWS_DATA_PATH``: folders, separated as in ``PATH``.
    """
    folders = (data_path or "").split(os.pathsep)
    return ModelLoader([str(Path(os.path.expandvars(folder)).expanduser()) for folder in folders if folder])
