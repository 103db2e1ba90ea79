"""Writes the summary tables, sheets of frames and the offline report."""

from typing import Annotated

from tyro.conf import arg

from synth2real.params import TIMES_FILE, read_params, read_section, run
from synth2real.report.page import ReportFiles, ReportSettings, ReportSources, write_report


def main(sources: Annotated[ReportSources, arg(name="")], files: Annotated[ReportFiles, arg(name="")]) -> None:
    """Shows an experiment's results: tables as CSV, sheets of frames, and one HTML page with tables, pictures and curves.

    Args:
        sources: Where the results are.
        files: What is written.
    """
    write_report(sources, TIMES_FILE, read_params(), read_section("report", ReportSettings), files)


if __name__ == "__main__":
    run(main)
