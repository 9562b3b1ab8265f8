"""A result as one self-contained HTML page: proof in words, picture with hover and zoom, tables; needs no network."""

from kvopt.report.page import report_html

__all__ = ["report_html"]
