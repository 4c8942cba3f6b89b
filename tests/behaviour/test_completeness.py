"""An agent's folder is whole, or the suite says which piece is missing."""

import hashlib

import pytest

from smallmesh.catalogue import Catalogue
from smallmesh.hosting.card import load_card
from tests.support.meshes import REQUIRED, SERVICES, missing_pieces, shipped

FOLDERS = sorted(path for path in SERVICES.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
LARGEST_MODEL = 21_000_000
EXEMPT = "service.py"
"""What makes a folder a service instead of an agent: it hosts no model."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_is_a_service_or_holds_all_pieces_of_an_agent(folder):
    if (folder / EXEMPT).is_file():
        return

    missing = missing_pieces(folder)

    assert not missing, f"{folder.name} lacks {', '.join(missing)}"


@pytest.mark.parametrize("piece", REQUIRED)
def test_a_missing_piece_is_named(piece, tmp_path):
    for other in set(REQUIRED) - {piece}:
        (tmp_path / other).touch()

    assert missing_pieces(tmp_path) == (piece,)


def test_the_suite_knows_every_folder():
    catalogue = Catalogue.load([SERVICES])

    assert {folder.name for folder in FOLDERS} == {*catalogue.agents, *catalogue.services}


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_card_is_that_of_the_file_and_the_file_is_small(name):
    folder = shipped()[name].folder
    if missing_pieces(folder):
        pytest.skip("another test says which piece is missing")
    card = load_card(folder)

    model = folder / card.file

    assert hashlib.sha256(model.read_bytes()).hexdigest() == card.sha256
    assert model.stat().st_size <= LARGEST_MODEL
    assert card.sha256 in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.licence
