"""Faults from outside: processes killed and frozen, brokers that go away, disks that fill up, and a ledger that counts what became of it.

``pytest tests/faults --trials 3`` tries each a few times; ``scripts/faults --trials 300`` writes a report.
"""

from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.testing.fake_frontier import FakeFrontier
from tests.faults.hamlet import hamlet, hamlet_folder, hardy  # noqa: F401 - fixtures of several files
from tests.faults.ledger import Ledger
from tests.faults.outcomes import Outcome, append
from tests.faults.shaken import Shaken, lent_frontier
from tests.faults.village import village  # noqa: F401 - a fixture of several files
from tests.support.meshes import SERVICES
from tests.support.rules import write_timed_town

FEW = 3
"""Trials where nobody says how many: enough to see that an experiment works."""
MOST_WORDS = 4000
"""The end of what a failed test says, in characters."""
SAID = pytest.StashKey[dict]()
_OURS = ("ANTHROPIC_API_KEY", "SMALLMESH_FRONTIER_BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT")


def pytest_addoption(parser):
    group = parser.getgroup("faults")
    group.addoption("--trials", type=int, default=FEW, help="how many kills in all; each experiment takes a share")
    group.addoption("--outcomes", type=Path, default=None, help="where outcomes are written, a line of JSON each")
    group.addoption("--long", action="store_true", help="also what takes minutes whatever the number of trials")


def pytest_configure(config):
    config.addinivalue_line("markers", "experiment(number): which experiment of the list of faults a test is")
    config.addinivalue_line("markers", "long: takes minutes, whatever the number of trials; only with --long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("long", default=False):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --long"))


def pytest_runtest_setup(item):
    _write(item.config, "begun", {"test": item.nodeid, "title": _title(item)})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001 - the hook's form
    report = (yield).get_result()
    said = item.stash.setdefault(SAID, {"result": "passed", "seconds": 0.0, "reason": ""})
    if report.when == "call":
        said["seconds"] = report.duration
    if report.outcome != "passed":
        reason = report.longreprtext if report.failed else report.longrepr[2]
        said |= {"result": report.outcome, "reason": str(reason)[-MOST_WORDS:]}
    if report.when == "teardown":  # what it counted is written by now
        _write(item.config, "ended", {"test": item.nodeid, "experiment": _experiment(item), "title": _title(item), **said})


def _write(config, kind, values):
    path = config.getoption("outcomes", default=None)
    if path is not None:
        append(path, kind, values)


def _experiment(item) -> int | None:
    mark = item.get_closest_marker("experiment")
    return mark.args[0] if mark else None


def _title(item) -> str:
    name, _, parameters = item.name.removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" ({parameters.removesuffix(']')})" if parameters else "")


@pytest.fixture(scope="session")
def trials(request) -> int:
    """How many kills there shall be in all. Each experiment takes a share, and says in its outcome how often it was tried."""
    return request.config.getoption("trials", default=FEW)


@pytest.fixture
def outcome(request):
    """What this test counts; written down whatever its end."""
    counted = Outcome(request.node.nodeid)
    yield counted
    _write(request.config, "outcome", counted)


@pytest.fixture(scope="session", autouse=True)
def nothing_from_outside():
    """Keep a key that the developer has out of every process of these tests."""
    with pytest.MonkeyPatch.context() as patched:
        for name in _OURS:
            patched.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def frontier():
    """A frontier that is labelled FAKE and takes a while for an answer."""
    with FakeFrontier(lent_frontier()) as fake:
        yield fake


@pytest.fixture(scope="session")
def timed_town(tmp_path_factory):
    """A folder of agents that take the time their text says."""
    return write_timed_town(tmp_path_factory.mktemp("timed") / "agents", SERVICES)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shaken(timed_town, frontier):
    """A whole mesh of processes to be shot at; who breaks something waits until it is whole again."""
    async with Shaken.started(timed_town, frontier) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="session")
async def ledger(shaken, outcome):
    """The ledger of one experiment over :func:`shaken`."""
    async with Ledger.opened(shaken.client, begun=shaken.begun, frontier=shaken.frontier) as opened:
        yield opened
        opened.close_into(outcome)
