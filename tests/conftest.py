from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, Person


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.open()
    yield house
    house.close()


@pytest.fixture(scope="session")
def anna(house: House) -> Person:
    return house.person()


@pytest.fixture(scope="session")
def ben(house: House) -> Person:
    return house.person()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.pipeline)
