"""The house keeps its floors, its faces and its size; `python -m tools.house` prints the same figures."""

from __future__ import annotations

import pytest
from conftest import ROOT

from tools import house


@pytest.mark.parametrize("what", house.LIMITS)
def test_the_house_stays_small(what):
    assert house.figures()[what] <= house.LIMITS[what]


def test_imports_run_downwards_and_never_in_a_circle():
    assert house.upward() == []
    assert house.circles() == []


def test_nobody_imports_past_a_face_and_helpers_never_imports_tools():
    assert house.past_faces(house.outsiders()) == []
    inner = [path for path in house.modules().values() if "tools" in house.top_level_imports(path)]
    assert inner == []


def test_what_a_face_hands_on_exists():
    for room in (room for floor in house.FLOORS for room in floor if room != "__main__"):
        for name, module in house.handed_on(room).items():
            source = ROOT / "helpers" / room / module
            assert source.with_suffix(".py").is_file() or source.is_dir(), f"{room}: {name} from {module}"
        assert house.line_count(ROOT / "helpers" / room / "__init__.py") <= 40, f"the face of {room} is a page"


def test_the_check_sees_what_it_forbids(tmp_path, monkeypatch):
    rooms = {
        "data": "",
        "models": "from ..data.files import a\nfrom ..rag import b\n",
        "rag": "from ..models import inner\n",
    }
    for room, source in rooms.items():
        (tmp_path / "helpers" / room).mkdir(parents=True)
        face = "import lazy_loader as lazy\nx = lazy.attach(__name__, submod_attrs={'inner': ['a', 'b', 'inner']})\n"
        (tmp_path / "helpers" / room / "__init__.py").write_text(face, encoding="utf-8")
        (tmp_path / "helpers" / room / "inner.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(house, "ROOT", tmp_path)
    assert house.upward() == ["helpers.models.inner:2 imports rag"]
    assert house.past_faces() == ["models.inner:1 imports helpers.data.files"]
    assert house.circles() == [["models.inner", "rag.inner"]]
