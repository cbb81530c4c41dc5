from pathlib import Path

import model_folders
import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def chatml(models: Path) -> Path:
    return model_folders.chatml_model(models / "chatml")


@pytest.fixture(scope="session")
def bare(models: Path) -> Path:
    return model_folders.bare_model(models / "bare")
