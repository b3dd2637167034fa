"""Small films as data sets in explicit VR little endian, as they stand on the wire."""

from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from tests.integration.listener.raw_scu import CHEST


@dataclass(frozen=True)
class Film:
    """One image of one study."""

    uid: str
    study_uid: str
    patient_id: str = "P1"
    patient_name: str = "Doe^Jane"
    seed: int = 1

    def data(self, **more: object) -> bytes:
        """Give the data set's bytes; `more` sets or (None) removes elements by keyword."""
        pixels = np.random.default_rng(self.seed).integers(0, 4096, (64, 64), dtype=np.uint16)
        ds = Dataset()
        ds.SOPClassUID = CHEST
        ds.SOPInstanceUID = self.uid
        ds.StudyInstanceUID = self.study_uid
        ds.SeriesInstanceUID = self.study_uid + ".1"
        ds.PatientID, ds.PatientName, ds.PatientSex, ds.PatientAge = self.patient_id, self.patient_name, "F", "045Y"
        ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "PA"
        ds.Manufacturer, ds.DeviceSerialNumber = "ACME", "SN-17"
        ds.Rows = ds.Columns = 64
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"
        for keyword, value in more.items():
            if value is None:
                del ds[keyword]
            else:
                setattr(ds, keyword, value)
        return encoded(ds)

    def revised(self, **changes: str) -> "Film":
        """Give the same instance with other content."""
        return replace(self, **changes)


def encoded(ds: Dataset) -> bytes:
    """Write a data set in explicit VR little endian."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, ds)
    return out.getvalue()


def film(study_uid: str | None = None, **more: object) -> Film:
    """Make a new film; in a new study unless told otherwise."""
    study = study_uid or generate_uid(prefix="1.2.826.0.1.3680043.8.498.1.")[:50]
    return Film(uid=generate_uid(prefix="1.2.826.0.1.3680043.8.498.2.")[:60], study_uid=study, **more)  # type: ignore[arg-type]
