"""Writes the summary table and the offline report."""

from pathlib import Path

from synth2real.params import read_params, read_section, run
from synth2real.report.page import ReportSettings, ReportSources, write_report


def main(
    evaluations: Path,
    comparison: Path,
    data: Path,
    translation: Path,
    target: Path,
    annotations: Path,
    predictions: Path,
    fused: Path,
    curves: Path,
    summary: Path,
    out: Path,
    detector: Path | None = None,
    pseudo_labels: Path | None = None,
    translation_grids: Path | None = None,
) -> None:
    """Shows an experiment's results: a summary as CSV, and one HTML page with tables, pictures and curves.

    Args:
        evaluations: Folder with the scores of each model, as JSON.
        comparison: JSON file with what each step gains.
        data: JSON file with the data's statistics.
        translation: Folder with the scores of each translation, as JSON.
        target: Frame set with the target's images.
        annotations: Frame set with the target's annotated label ids.
        predictions: Folder with a frame set of predicted label ids for each model.
        fused: Folder with a frame set of fused label ids for each model.
        curves: Folder with the trainings' curves, as CSV.
        summary: CSV file with the scores of all models.
        out: HTML file.
        detector: JSON file with the detector's scores.
        pseudo_labels: Folder with the pseudo-labels' statistics, as JSON.
        translation_grids: Folder with a sheet of translated images for each, as JPEG or PNG.
    """
    optional = {"Detector": detector, "Pseudo-labels": pseudo_labels}
    statistics = {"Data": data, "Translation": translation} | {title: path for title, path in optional.items() if path}
    sources = ReportSources(
        evaluations=evaluations,
        comparison=comparison,
        target=target,
        annotations=annotations,
        predictions=predictions,
        fused=fused,
        curves=curves,
        statistics=statistics,
        grids={"Translation": translation_grids} if translation_grids else {},
    )
    write_report(sources, read_params(), read_section("report", ReportSettings), summary, out)


if __name__ == "__main__":
    run(main)
