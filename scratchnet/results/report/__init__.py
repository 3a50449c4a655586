"""A training run as one HTML page that needs only a browser."""

from scratchnet.results.report.page import check_report_folder, write_report

__all__ = ["check_report_folder", "write_report"]
