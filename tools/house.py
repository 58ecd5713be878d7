"""The house in figures: lines and modules by room, and every import that goes upwards, past a face or in a circle.

python -m tools.house
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (  # from the ground; rooms of one floor never import each other
    ("data", "fast"),
    ("models",),
    ("rag", "tuning"),
    ("experiment",),
    ("analysis",),
    ("plots",),
    ("lessons",),
    ("__main__",),
)
LIMITS = {"lines": 9000, "modules": 75, "longest module": 250, "lines of tests": 8500, "lines of README": 150}
REACHED: dict[str, int] = {}  # where a limit is not kept yet: only ever lowered


@dataclass(frozen=True)
class Import:
    """One import inside the house: who imports, where, and which module of which room by which names."""

    importer: str  # "room.module"
    line: int
    room: str
    module: str  # "" = the room's face
    names: tuple[str, ...]


def module_name(path: Path) -> str:
    """The dotted name inside `helpers`; a face is named as its room."""
    parts = list(path.relative_to(ROOT / "helpers").with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    """Every file of the house by its dotted name, faces included; `helpers` itself is named ""."""
    return {module_name(path): path for path in sorted((ROOT / "helpers").rglob("*.py"))}


def is_face(path: Path) -> bool:
    """Whether a file only says what a package is for and hands names on."""
    return path.name == "__init__.py"


def line_count(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def imports(path: Path) -> Iterator[Import]:
    """The imports of a file that lead into `helpers`, those inside functions and for types included."""
    inside = ROOT / "helpers" in path.parents
    package = list(path.relative_to(ROOT).parent.parts)
    importer = module_name(path) if inside else path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            found = [(base + (node.module.split(".") if node.module else []), tuple(a.name for a in node.names))]
        elif isinstance(node, ast.Import):
            found = [(alias.name.split("."), ()) for alias in node.names]
        else:
            continue
        for target, names in found:
            if target[0] != "helpers":
                continue
            if len(target) > 1:
                yield Import(importer, node.lineno, target[1], ".".join(target[2:]), names)
            else:
                for name in names:
                    yield Import(importer, node.lineno, name, "", ())


def top_level_imports(path: Path) -> set[str]:
    """The first names of all absolute imports of a file: "tools", "torch"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def floor(room: str) -> int:
    """The floor of a room, from 0; a module beside the rooms, such as `__main__`, is on the roof."""
    return next((i for i, rooms in enumerate(FLOORS) if room in rooms), len(FLOORS) - 1)


def upward() -> list[str]:
    """Imports from a room into one on the same floor or above."""
    return [
        f"helpers.{each.importer}:{each.line} imports {each.room}"
        for path in modules().values()
        for each in imports(path)
        if (here := module_name(path).split(".")[0]) and each.room != here and floor(each.room) >= floor(here)
        and (ROOT / "helpers" / each.room).exists()
    ]  # fmt: skip


def past_faces(outsiders: Iterable[Path] = ()) -> list[str]:
    """Imports of a room's inner modules from outside of it, by other rooms and by these files."""
    found = []
    for path in [*modules().values(), *outsiders]:
        for each in imports(path):
            own = ROOT / "helpers" in path.parents and module_name(path).split(".")[0] == each.room
            if each.module and not own:
                found.append(f"{each.importer}:{each.line} imports helpers.{each.room}.{each.module}")
    return found


def handed_on(room: str) -> dict[str, str]:
    """The names in a room's face, each with the module that it comes from."""
    tree = ast.parse((ROOT / "helpers" / room / "__init__.py").read_text(encoding="utf-8"))
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs":
            for module, given in ast.literal_eval(node.value).items():
                names |= dict.fromkeys(given, module)
        elif isinstance(node, ast.keyword) and node.arg == "submodules":
            names |= {name: name for name in ast.literal_eval(node.value)}
    return names


def circles() -> list[list[str]]:
    """Groups of modules that import each other, through faces too and for types as well."""
    known = modules()
    arrows: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        if is_face(path):
            continue
        for each in imports(path):
            face = (
                handed_on(each.room)
                if not each.module and (ROOT / "helpers" / each.room / "__init__.py").is_file()
                else {}
            )
            for imported in each.names or ("",):
                inner = face.get(imported, each.module) if not each.module else each.module
                for candidate in (f"{each.room}.{inner}.{imported}", f"{each.room}.{inner}", f"{each.room}.{imported}"):
                    if candidate.strip(".") in known and candidate.strip(".") != name:
                        arrows[name].add(candidate.strip("."))
                        break
    return _loops(arrows)


def _loops(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected groups of two or more, by reachability: the house is small."""
    reach = {name: set(to) for name, to in arrows.items()}
    changed = True
    while changed:
        changed = False
        for seen in reach.values():
            more = set().union(*(reach[other] for other in seen)) - seen if seen else set()
            seen |= more
            changed = changed or bool(more)
    groups = {frozenset(b for b in reach if b in reach[a] and a in reach[b]) for a in reach if a in reach[a]}
    return sorted(sorted(group) for group in groups)


def outsiders() -> list[Path]:
    """The Python files of tools/: they come in by the faces, as notebooks do."""
    return [path for path in sorted((ROOT / "tools").rglob("*.py")) if not re.search(r"/(\.|__pycache__)", str(path))]


def figures() -> dict[str, int]:
    """What LIMITS bounds, as it is now."""
    inside = [path for path in modules().values() if not is_face(path)]
    return {
        "lines": sum(map(line_count, inside)),
        "modules": len(inside),
        "longest module": max(map(line_count, inside)),
        "lines of tests": sum(map(line_count, (ROOT / "tests").rglob("*.py"))),
        "lines of README": line_count(ROOT / "README.md"),
    }


def main() -> None:
    rooms: dict[str, list[Path]] = {}
    for name, path in modules().items():
        if not is_face(path):
            rooms.setdefault(name.split(".")[0] if "." in name else "__main__", []).append(path)
    print(f"{'room':12} {'lines':>6} {'modules':>8}  longest")
    for room in [room for rooms_of_floor in FLOORS for room in rooms_of_floor]:
        paths = rooms.get(room, [])
        longest = max(paths, key=line_count, default=None)
        told = f"{longest.name} {line_count(longest)}" if longest else ""
        print(f"{room:12} {sum(map(line_count, paths)):6} {len(paths):8}  {told}")
    for what, value in figures().items():
        print(f"{what}: {value} of at most {LIMITS[what]}{'' if value <= LIMITS[what] else '  TOO MANY'}")
    for what, found in (
        ("circles", [" <-> ".join(group) for group in circles()]),
        ("imports upwards", upward()),
        ("imports past a face", past_faces(outsiders())),
    ):
        print(f"{what}: {len(found)}")
        for each in found:
            print(f"  {each}")


if __name__ == "__main__":
    main()
