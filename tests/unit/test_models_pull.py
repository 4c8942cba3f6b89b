"""Pulling a model: through the hub's real client, from a hub on this machine that breaks off, lies, or has nothing."""

import errno
import hashlib
import os
import shutil
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from smallmesh.hosting.card import ModelError, Tier
from smallmesh.hosting.ladder.folder import Locked, ModelsFolder
from smallmesh.hosting.ladder.hub import HubError, HuggingFaceHub
from smallmesh.hosting.ladder.pull import pull
from tests.support.fake_hub import COMMIT, FakeHub

REPOSITORY, FILE = "acme/tiny-instruct-GGUF", "tiny-instruct-q4_0.gguf"
BODY = bytes(range(256)) * 40
CHUNK = 1000


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None))
    with FakeHub() as running:
        running.add(REPOSITORY, FILE, BODY)
        yield running


@pytest.fixture
def models(tmp_path):
    return ModelsFolder(tmp_path / "models")


def tier(**changed):
    facts = {"tier": "small", "id": "tiny", "engine": "instruct", "repository": REPOSITORY, "file": FILE}
    return Tier(**{**facts, "architecture": "llama", "quantisation": "Q4_0", **changed})


def sha256_of_body(body=BODY):
    return hashlib.sha256(body).hexdigest()


def pulled(hub, models, wanted=None, *, token=None, **options):
    return pull(wanted or tier(), models, lambda: HuggingFaceHub(hub.url, token), **options)


def partial_of(models):
    return models.partial_of(sha256_of_body())


def nothing_was_kept(models):
    return not models.file_of(tier()).exists() and not list(models.path.rglob("*.part")) and models.locked(tier()) is None


# ---------------------------------------------------------------- what comes


def test_a_file_comes_whole_verified_and_bound_to_its_name(hub, models):
    seen = []
    found = pulled(hub, models, on_progress=lambda done, total: seen.append((done, total)))

    assert models.file_of(tier()).read_bytes() == BODY
    assert (found.commit, found.sha256, found.size, found.already) == (COMMIT, sha256_of_body(), len(BODY), False)
    assert models.locked(tier()) == Locked(commit=COMMIT, sha256=sha256_of_body(), size=len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert not list(models.path.rglob("*.part"))


def test_what_lies_here_is_not_asked_for_again(hub, models):
    pulled(hub, models)
    hub.asked.clear()

    assert pulled(hub, models).already
    assert not hub.asked


def test_a_connection_that_breaks_is_taken_up_within_one_pull(hub, models):
    hub.cuts = [2 * CHUNK, CHUNK]

    pulled(hub, models)

    assert models.file_of(tier()).read_bytes() == BODY
    assert [one.range for one in hub.downloads()] == [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]


def test_a_pull_that_ended_goes_on_where_it_stopped(hub, models):
    hub.cuts, hub.status = [], 503
    partial_of(models).parent.mkdir(parents=True)
    partial_of(models).write_bytes(BODY[: 3 * CHUNK])
    with pytest.raises(HubError, match="HTTP 503: pull again, it goes on where it stopped"):
        pulled(hub, models)
    assert partial_of(models).read_bytes() == BODY[: 3 * CHUNK]
    hub.status = None

    pulled(hub, models)

    assert models.file_of(tier()).read_bytes() == BODY
    assert hub.downloads()[-1].range == f"bytes={3 * CHUNK}-"


def test_what_came_before_the_hub_was_gone_is_kept_for_the_next_pull(hub, models, monkeypatch):
    hub.cuts = [4 * CHUNK]
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: setattr(hub, "status", 500)))

    with pytest.raises(HubError, match="HTTP 500"):
        pulled(hub, models)

    assert partial_of(models).read_bytes() == BODY[: 4 * CHUNK]
    assert not models.file_of(tier()).exists()


def test_a_partial_file_that_is_longer_than_the_whole_is_begun_anew(hub, models):
    partial_of(models).parent.mkdir(parents=True)
    partial_of(models).write_bytes(b"x" * (len(BODY) + 1))

    pulled(hub, models)

    assert models.file_of(tier()).read_bytes() == BODY


def test_a_partial_file_that_is_already_whole_is_only_verified(hub, models):
    partial_of(models).parent.mkdir(parents=True)
    partial_of(models).write_bytes(BODY)

    pulled(hub, models)

    assert models.file_of(tier()).read_bytes() == BODY
    assert not hub.downloads()


def test_two_pulls_of_one_file_do_not_write_into_each_other(hub, models):
    inner = []

    def another(_done, _total):
        if not inner:
            with pytest.raises(ModelError, match="another process is pulling") as refused:
                pulled(hub, models)
            inner.append(refused)

    pulled(hub, models, on_progress=another)

    assert inner
    assert models.file_of(tier()).read_bytes() == BODY


def test_a_damaged_file_is_replaced(hub, models):
    pulled(hub, models)
    models.file_of(tier()).write_bytes(BODY[:-1] + b"x")

    assert not pulled(hub, models).already
    assert models.file_of(tier()).read_bytes() == BODY


# ---------------------------------------------------------------- what is refused


def test_bytes_that_are_not_those_of_the_digest_are_not_kept(hub, models):
    hub.served = BODY[:-1] + b"x"

    with pytest.raises(HubError, match=r"not .*: it was not kept"):
        pulled(hub, models)

    assert nothing_was_kept(models)


@pytest.mark.parametrize("served", [BODY[:-7], BODY + b"more"])
def test_another_length_than_was_said_is_refused(hub, models, served):
    hub.served = served

    with pytest.raises(HubError, match="in another length than it said"):
        pulled(hub, models)

    assert not models.file_of(tier()).exists()


def test_a_file_that_is_not_the_one_of_its_card_is_not_even_asked_for(hub, models):
    with pytest.raises(HubError, match=r"the hub has another file under the name .*model\.toml says 000000000000"):
        pulled(hub, models, tier(sha256="0" * 64))

    assert not hub.downloads()
    assert nothing_was_kept(models)


def test_the_card_is_believed_where_a_mirror_says_no_digest(hub, models):
    hub.says_digest = False

    assert pulled(hub, models, tier(sha256=sha256_of_body())).sha256 == sha256_of_body()


def test_without_any_digest_nothing_can_be_verified_and_nothing_is_pulled(hub, models):
    hub.says_digest = False

    with pytest.raises(HubError, match=r"write it into model\.toml"):
        pulled(hub, models)

    assert not hub.downloads()


def test_what_is_no_hub_is_called_that(hub, models):
    hub.says_commit = False

    with pytest.raises(HubError, match="does not answer as a hub does"):
        pulled(hub, models)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"repository": "acme/nothing"}, "has no acme/nothing, or it is not public: check its name in model.toml, or set HF_TOKEN"),
        ({"revision": "v9"}, f"{REPOSITORY} has no revision v9"),
        ({"file": "other.gguf"}, f"{REPOSITORY} has no other.gguf at main"),
    ],
)
def test_what_the_hub_does_not_have_is_said_by_name(hub, models, changed, said):
    with pytest.raises(HubError, match=said):
        pulled(hub, models, tier(**changed))

    assert nothing_was_kept(models)


def test_a_hub_that_cannot_be_reached_is_said_with_what_to_do(models):
    with FakeHub() as gone:
        url = gone.url

    with pytest.raises(HubError, match=r"cannot be reached.*HF_ENDPOINT names a mirror"):
        pull(tier(), models, lambda: HuggingFaceHub(url))


def test_an_address_that_is_none_is_said(models):
    with pytest.raises(HubError, match="mirror cannot be reached, or broke off"):
        pull(tier(), models, lambda: HuggingFaceHub("mirror"))


# ---------------------------------------------------------------- what binds


def test_what_was_pulled_once_is_all_that_is_pulled_under_its_name(hub, models):
    pulled(hub, models)
    models.file_of(tier()).unlink()
    hub.add(REPOSITORY, FILE, b"another model", commit="d" * 40)

    again = pulled(hub, models)

    assert (again.commit, models.file_of(tier()).read_bytes()) == (COMMIT, BODY)


def test_a_hub_that_changed_the_file_of_a_commit_is_refused_by_name(hub, models):
    pulled(hub, models)
    models.file_of(tier()).unlink()
    hub.add(REPOSITORY, FILE, b"another model")

    with pytest.raises(HubError, match=r"another file under the name acme/tiny-instruct-GGUF@main/tiny-instruct-q4_0\.gguf.*models\.lock"):
        pulled(hub, models)

    assert not models.file_of(tier()).exists()


def test_an_entry_that_was_deleted_from_the_lock_lets_the_new_file_in(hub, models):
    pulled(hub, models)
    hub.add(REPOSITORY, FILE, b"another model", commit="d" * 40)
    models.lock_path.unlink()

    assert pulled(hub, models).commit == "d" * 40
    assert models.file_of(tier()).read_bytes() == b"another model"


# ---------------------------------------------------------------- offline, mirrors, tokens


def test_offline_what_lies_here_is_taken_and_nobody_is_asked(hub, models):
    pulled(hub, models)

    def nobody():
        raise AssertionError("a hub was asked")

    assert pull(tier(), models, nobody, offline=True).already


def test_offline_what_does_not_lie_here_is_said(models):
    with pytest.raises(ModelError, match="does not lie here, and nothing is pulled offline"):
        pull(tier(), models, lambda: pytest.fail("a hub was asked"), offline=True)


def test_a_token_goes_to_the_hub_and_not_to_where_the_bytes_lie(hub, models):
    hub.token = "hf_secret"

    pulled(hub, models, token="hf_secret")

    assert {one.token for one in hub.asked if one.host == "127.0.0.1"} == {"Bearer hf_secret"}
    assert {one.token for one in hub.downloads()} == {None}


def test_without_its_token_a_private_repository_is_not_given_and_no_other_token_is_sent(hub, models, monkeypatch, tmp_path):
    hub.token = "hf_secret"
    lying_around = tmp_path / "token"
    lying_around.write_text("hf_secret")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(lying_around))

    with pytest.raises(HubError, match="set HF_TOKEN"):
        pulled(hub, models)

    assert {one.token for one in hub.asked} == {None}


def test_a_repository_that_asks_for_consent_is_said(hub, models):
    hub.gated.add(REPOSITORY)

    with pytest.raises(HubError, match="asks for consent: accept its terms"):
        pulled(hub, models)


def test_a_token_is_in_no_message(hub, models):
    hub.token = "hf_secret"

    with pytest.raises(HubError) as refused:
        pulled(hub, models, token="hf_wrong")

    assert "hf_" not in str(refused.value)


# ---------------------------------------------------------------- room


def test_without_room_nothing_is_begun(hub, models, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(BODY) - 1))

    with pytest.raises(ModelError, match=r"no room in .*free some, or set SMALLMESH_MODELS_DIR"):
        pulled(hub, models)

    assert not hub.downloads()


def test_a_disk_that_fills_up_meanwhile_keeps_what_came(hub, models):
    class Full(HuggingFaceHub):
        def fetch(self, _remote, into, **_):
            into.write(BODY[:CHUNK])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ModelError, match=r"no room in .*No space left"):
        pull(tier(), models, lambda: Full(hub.url))

    assert partial_of(models).read_bytes() == BODY[:CHUNK]


def test_a_folder_that_cannot_be_written_is_said(hub, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ModelError, match=r"cannot be written .*SMALLMESH_MODELS_DIR"):
        pulled(hub, ModelsFolder(tmp_path / "file" / "models"))
