"""Reports: one page per study. Every number comes from ``hpsearch.analysis``; this package only presents it."""

from hpsearch.report.artifacts import ReportArtifacts, load_artifacts
from hpsearch.report.model_card import model_card
from hpsearch.report.write import FORMATS, preload, write, write_artifacts

__all__ = ["FORMATS", "ReportArtifacts", "load_artifacts", "model_card", "preload", "write", "write_artifacts"]
