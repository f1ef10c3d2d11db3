"""The study file: its sections, how it is read and checked, and the space that it describes."""

from hpsearch.core.addresses import DEFAULT_LEDGER, AnyUri, Uri, sqlite_path
from hpsearch.spec.assembly import doubts, make_space
from hpsearch.spec.loading import load_spec, parse_spec
from hpsearch.spec.parameters import parse_parameter
from hpsearch.spec.resources import ResourcesSection
from hpsearch.spec.rows import DataSection, OuterSection
from hpsearch.spec.search import SearchSection
from hpsearch.spec.section import READ_BACK
from hpsearch.spec.sections import (
    ChampionSection,
    ModelSection,
    PruningSection,
    StudySpec,
    TrackingSection,
)
from hpsearch.spec.training import TrainingSection

__all__ = [
    "DEFAULT_LEDGER",
    "READ_BACK",
    "AnyUri",
    "ChampionSection",
    "DataSection",
    "ModelSection",
    "OuterSection",
    "PruningSection",
    "ResourcesSection",
    "SearchSection",
    "StudySpec",
    "TrackingSection",
    "TrainingSection",
    "Uri",
    "doubts",
    "load_spec",
    "make_space",
    "parse_parameter",
    "parse_spec",
    "sqlite_path",
]
