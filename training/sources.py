"""What is known of the data sets that models are trained on: origin, licence, people. By the folder's name."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where a data set comes from, under which licence, and whom it shows."""

    citation: str
    licence: str
    population: str


UNKNOWN = Source("not stated", "not stated", "not stated")

SOURCES: Mapping[str, Source] = {
    "kermany": Source(
        "Kermany, Zhang, Goldbaum (2018), Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
        "Classification, Mendeley Data; Kermany et al. (2018), Cell 172(5):1122-1131",
        "CC BY 4.0",
        "children of one to five years, one hospital in Guangzhou, antero-posterior films, 224 x 224 pixels",
    ),
    "nih": Source(
        "NIH Clinical Center, ChestX-ray8; Wang et al., CVPR 2017",
        "free use with attribution",
        "adults, one hospital in Bethesda, labels mined from reports by text, 512 x 512 pixels",
    ),
}


def source_of(folder_name: str) -> Source:
    """Return what is known of a data set.

    >>> source_of("kermany").licence, source_of("mine").licence
    ('CC BY 4.0', 'not stated')
    """
    return SOURCES.get(folder_name, UNKNOWN)
