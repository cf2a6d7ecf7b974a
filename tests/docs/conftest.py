"""Fixtures of these tests alone: a cluster as the pages name it, and what a reader of them has set."""

import os
import pathlib
import tempfile

import pytest

from larder.cluster import Cluster
from larder.daemons import binary
from markdown import CHECKOUT
from worlds import DocsCluster

pytest_plugins = ["larder.fixtures"]


@pytest.fixture
def build():
    """The directory with the programs."""
    return binary("larderctl").parent


@pytest.fixture(scope="module")
def docs_cluster(base):
    """The cluster of which README and docs speak; one for each module."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=base))
    docs = DocsCluster(Cluster(directory), directory)
    try:
        docs.start()
        yield docs
    finally:
        docs.cluster.close()


@pytest.fixture
def plain_env(directory):
    """An environment in which nothing of the caller's Larder or Hugging Face is set."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LARDER_", "HF_"))}
    temporary = directory / "tmp"
    temporary.mkdir()
    return {
        **clean,
        "HOME": str(directory),
        "TMPDIR": str(temporary),
        "LARDER_CHECKOUT": str(CHECKOUT),
    }
