"""dvc.yaml itself: complete code lists, no target label on the way to training, a sound graph."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx
import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML

from synth2real.pipeline import import_closure, main, pipelines, stage_code, whole_folders

ROOT = Path(__file__).parents[1]
SECRET = "data/prepared/target_annotations"
MAY_SEE_ANNOTATIONS = {"check_data", "compare", "report"}
STUDIES_OF_THE_TARGET = {"fusion_rules", "hood_mask", "pix2pix", "shape_vs_texture"}
MAY_SEE_ANNOTATIONS_OF_A_MODEL = (
    "evaluate@",
    "evaluate_detector_on@",
    "train_oracle@oracle-",
    "predict_semantics@oracle-",
    "fuse@oracle-",
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")
    return content


def _tree_with(params: Mapping[str, object], folder: Path) -> Path:
    """A repository with this project's dvc.yaml and its params.yaml, some values changed."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params.yaml")
    values.update(params)
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    Repo.init(folder, no_scm=True, force=True).close()
    return folder


def test_each_stage_lists_exactly_the_code_that_it_imports() -> None:
    assert len(pipelines(ROOT)) > 1
    for path in pipelines(ROOT):
        for code in stage_code(YAML(typ="safe", pure=True).load(path), ROOT):
            assert code.listed == code.needed, (path, code.stage)


def test_all_pipelines_start_python_alike() -> None:
    starts = set()
    for path in pipelines(ROOT):
        values = [entry for entry in YAML(typ="safe", pure=True).load(path)["vars"] if isinstance(entry, dict)]
        starts |= {entry["python"] for entry in values if "python" in entry}
    assert len(starts) == 1, starts


def test_studies_describe_each_stage_and_see_no_target_annotations_but_those_about_the_target() -> None:
    for path in pipelines(ROOT)[1:]:
        values = "".join(file.read_text() for file in path.parent.glob("params.yaml"))
        assert (SECRET in values) == (path.parent.name in STUDIES_OF_THE_TARGET), path
        for name, stage in YAML(typ="safe", pure=True).load(path)["stages"].items():
            body = stage.get("do", stage)
            assert body["wdir"] == "../..", (path, name)
            assert body["desc"], (path, name)
            assert SECRET not in str(body), (path, name)
            assert "hardware" not in str(body.get("params", [])), (path, name)
            assert "metrics" not in body, (path, name)  # `dvc metrics diff` would miss those of studies that were not run
            for entry in [*body.get("outs", []), *body.get("plots", [])]:
                if isinstance(entry, str):
                    assert entry.startswith("data/"), (path, name, entry)
                else:
                    (out, options), *_ = entry.items()
                    assert out.startswith("studies/"), (path, name, out)
                    assert options["cache"] is False, (path, name, out)


def test_nothing_of_the_experiment_reads_what_a_study_writes(document: dict[str, Any]) -> None:
    for name, stage in document["stages"].items():
        assert not [dep for dep in stage.get("do", stage).get("deps", []) if "studies" in str(dep)], name


def test_import_closure_equals_what_python_really_loads(document: dict[str, Any]) -> None:
    """The static closure against sys.modules after a real import, for a stage that loads no PyTorch and one that does."""
    import subprocess
    import sys

    for script in ("stages/fuse.py", "stages/train_segmenter.py"):
        program = (
            "import sys, importlib.util as u; s = u.spec_from_file_location('stage', sys.argv[1]); m = u.module_from_spec(s);"
            "s.loader.exec_module(m); print('\\n'.join(f for n, m in sys.modules.items() if n.startswith('synth2real')"
            " and (f := m.__file__)))"
        )
        shown = subprocess.run(
            [sys.executable, "-c", program, script],
            cwd=ROOT, env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        loaded = {Path(path).resolve().relative_to(ROOT).as_posix() for path in shown if not path.endswith("__init__.py")}
        assert loaded == import_closure(ROOT / script, ROOT)


def _package(folder: Path) -> Path:
    """A repository with one stage, which imports all of the folder ``looks`` with its subfolder, and one of the two ``steps``."""
    files = {
        "dvc.yaml": (
            "# Kept.\nstages:\n  draw:\n    cmd: python stages/draw.py\n    deps:\n"
            "      - stages/draw.py\n      - src/synth2real/steps\n      - data/raw\n"
        ),
        "studies/light/dvc.yaml": (
            "stages:\n  shade:\n    wdir: ../..\n    cmd: python studies/light/shade.py\n    deps:\n"
            "      - src/synth2real/steps/two.py\n      - data/raw\n"
        ),
        "studies/light/shade.py": "from synth2real.steps.one import f\n",
        "stages/draw.py": "from synth2real.looks import camera\nfrom synth2real.steps.one import f\n",
        "src/synth2real/__init__.py": "",
        "src/synth2real/looks/__init__.py": "",
        "src/synth2real/looks/camera.py": "from synth2real.looks.lenses.wide import f\n",
        "src/synth2real/looks/lenses/__init__.py": "",
        "src/synth2real/looks/lenses/wide.py": "",
        "src/synth2real/steps/__init__.py": "",
        "src/synth2real/steps/one.py": "",
        "src/synth2real/steps/two.py": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_folder_is_listed_where_all_of_it_is_imported(tmp_path: Path) -> None:
    root = _package(tmp_path)
    assert whole_folders(import_closure(root / "stages/draw.py", root), root) == {
        "src/synth2real/looks",
        "src/synth2real/steps/one.py",
    }
    (root / "src/synth2real/looks/unused.py").write_text("")
    assert whole_folders(import_closure(root / "stages/draw.py", root), root) == {
        "src/synth2real/looks/camera.py",
        "src/synth2real/looks/lenses",
        "src/synth2real/steps/one.py",
    }


def test_write_mends_the_lists_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(_package(tmp_path))
    before = {path: path.read_text() for path in (Path("dvc.yaml"), Path("studies/light/dvc.yaml"))}
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().out.splitlines() == [
        "dvc.yaml: draw: + src/synth2real/looks",
        "dvc.yaml: draw: + src/synth2real/steps/one.py",
        "dvc.yaml: draw: - src/synth2real/steps",
        "studies/light/dvc.yaml: shade: + src/synth2real/steps/one.py",
        "studies/light/dvc.yaml: shade: + studies/light/shade.py",
        "studies/light/dvc.yaml: shade: - src/synth2real/steps/two.py",
    ]
    assert {path: path.read_text() for path in before} == before
    main(write=True)
    drawing = "src/synth2real/looks\n      - src/synth2real/steps/one.py"
    shading = "studies/light/shade.py\n      - src/synth2real/steps/one.py"
    assert [path.read_text() for path in before] == [
        before[Path("dvc.yaml")].replace("src/synth2real/steps", drawing),
        before[Path("studies/light/dvc.yaml")].replace("src/synth2real/steps/two.py", shading),
    ]
    with pytest.raises(SystemExit, match="0"):
        main()


def test_package_init_files_hold_only_a_docstring() -> None:
    for path in (ROOT / "src").rglob("__init__.py"):
        assert re.fullmatch(r'""".*"""\n', path.read_text(), re.DOTALL), path


def test_stage_scripts_are_thin_and_each_is_used(document: dict[str, Any]) -> None:
    scripts = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "stages").glob("*.py")}
    assert {
        path: len(text.read_text().splitlines()) for path, text in scripts.items() if len(text.read_text().splitlines()) > 60
    } == {}
    assert [path for path, text in scripts.items() if not text.read_text().endswith("\n    run(main)\n")] == []
    used = {re.search(r"stages/\w+\.py", str(stage.get("do", stage)["cmd"]))[0] for stage in document["stages"].values()}  # type: ignore[index]
    assert used == set(scripts)


def test_every_stage_is_described_and_every_metric_is_outside_the_cache(document: dict[str, Any]) -> None:
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        assert body.get("desc"), name
        for kind in ("metrics", "plots"):
            for entry in body.get(kind, []):
                assert next(iter(entry.values()))["cache"] is False, name


def _tainted(tree: Path) -> set[str]:
    """Stages that read the target's annotations, and all that depend on these."""
    with Repo(tree) as repo:
        graph = repo.index.graph  # DVC's edges run from a stage to what it needs
        readers = [stage for stage in graph if any(SECRET in str(dep) for dep in stage.deps)]
        return {other.name for reader in readers for other in {reader, *networkx.ancestors(graph, reader)}}


def test_no_target_annotation_reaches_training(tmp_path: Path) -> None:
    """Walks the real graph, with every row that is off by default switched on, for two seeds."""
    methods = {"methods": ["fda", "colour_statistics"], "seed": 1, "fda": {}, "colour_statistics": {}}
    rows = {
        "seeds": [1, 2],
        "oracle": ["oracle"],
        "target_bn": ["target_bn"],
        "online": ["online"],
        "restyle": methods,
        "synthesizer": ["synthesized"],
        "painted": [{"name": "synthesized", "model": "data/models/synthesized.ckpt"}],
        "translations": ["adapted", "fda", "colour_statistics", "synthesized"],
        "ladder": [
            "source_only",
            "target_bn",
            "fda",
            "colour_statistics",
            "synthesized",
            "adapted",
            "online",
            "round-1",
            "oracle",
        ],
    }
    tainted = _tainted(_tree_with(rows, tmp_path))
    rows_off_by_default = {
        "evaluate@fda-1",
        "evaluate@colour_statistics-2",
        "evaluate@target_bn-1",
        "evaluate@online-2",
        "evaluate@synthesized-1",
    }
    assert rows_off_by_default <= tainted  # so they are rows, of untainted models
    assert {"check_data", "evaluate@adapted-1", "compare", "report", "train_oracle@oracle-2"} <= tainted
    for name in tainted:
        assert name in MAY_SEE_ANNOTATIONS or name.startswith(MAY_SEE_ANNOTATIONS_OF_A_MODEL), name


def test_the_detector_learns_from_painted_frames_where_it_is_told(tmp_path: Path) -> None:
    """The preset makes no circle: the network that paints must not learn from the detector's instances then."""
    overlay = YAML(typ="safe", pure=True).load(ROOT / "presets/viper_synthesized.yaml")
    changes = {
        key: overlay[key] for key in ("synthesizer", "synthesizer_maps", "painted", "translations", "ladder", "detector_frames")
    }
    with Repo(_tree_with(changes, tmp_path)) as repo:
        graph = repo.index.graph
        stages = {stage.name: stage for stage in graph}
        needed = {stage.name for stage in networkx.descendants(graph, stages["train_detector"])}
        assert {"synthesize@0", "train_synthesizer@synthesized", "predict_semantics@adapted-1"} <= needed
        assert {stage.name for stage in networkx.descendants(graph, stages["train_translated@synthesized-1"])} >= {"synthesize@0"}
    circle = pytest.raises(DvcException, match="both a dependency and an output")
    with Repo(_tree_with(changes | {"synthesizer_maps": "fused"}, tmp_path)) as repo, circle:
        assert repo.index.graph


def test_a_planted_leak_is_found(tmp_path: Path) -> None:
    tree = _tree_with({}, tmp_path)
    text = (tree / "dvc.yaml").read_text()
    fused = "- data/fused/${item.round.teacher}/seed-${item.seed}\n"
    planted = text.replace(fused, f"{fused}      - {SECRET}\n")
    assert planted != text
    (tree / "dvc.yaml").write_text(planted)
    assert {"pseudo_label@round0-1", "train_student@round0-1", "predict_semantics@round-1-1"} <= _tainted(tree)


def test_editing_the_report_or_evaluation_retrains_nothing(document: dict[str, Any]) -> None:
    for name, stage in document["stages"].items():
        deps = stage.get("do", stage).get("deps", [])
        if name.startswith("train_"):
            assert not [dep for dep in deps if "report" in dep or "evaluation" in dep or "fusion" in dep], name


def test_hardware_is_no_part_of_a_stage(document: dict[str, Any]) -> None:
    for name, stage in document["stages"].items():
        assert "hardware" not in str(stage.get("do", stage).get("params", [])), name
