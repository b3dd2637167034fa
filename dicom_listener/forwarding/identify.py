"""From what was received to the event that says so. Pure."""

from dicom_listener.standard.header import Header
from radstream.journal.registration import Arrival, Registered
from radstream.spool.entry import Note
from schemas.identity import Pseudonyms, object_key
from schemas.instance_received import InstanceReceived

#: What goes into the vault, and nowhere else.
_IDENTIFIERS = (
    "sop_instance_uid",
    "study_instance_uid",
    "series_instance_uid",
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "patient_birth_date",
    "patient_sex",
    "accession_number",
)
_SEXES = frozenset({"M", "F", "O"})
_YEARS_IN = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_AGE_CHARACTERS = 4  # PS3.5 6.2, AS
_TOP_AGE = 90
_BAND_YEARS = 10
_LONGEST_WORD = 64  # characters of a free text that an event carries


def arrival_of(note: Note, header: Header) -> Arrival:
    """Give what the journal wants of a spooled image."""
    seen = {name: value for name in _IDENTIFIERS if (value := header.get(name)) is not None}
    study = header.get("study_instance_uid") or note.sop_instance_uid
    return Arrival(
        identifiers={
            **seen,
            "sop_class_uid": note.sop_class_uid,
            "sop_instance_uid": note.sop_instance_uid,
            "study_instance_uid": study,
        },
        calling_ae=note.calling_ae,
        site=note.site,
        lane=note.lane,
        sha256=note.sha256,
        object_key=object_key(note.sha256),
        size_bytes=note.size_bytes,
        received_at=note.received_at,
        doubted=note.doubted,
    )


def event_of(row: Registered, note: Note, header: Header, keys: Pseudonyms, bucket: str) -> InstanceReceived:
    """Give the event of an image: identity from its row, which the first receipt fixed; the rest from the image."""
    station = header.get("device_serial_number") or header.get("station_name")
    return InstanceReceived(
        event_id=row.event_id,
        instance_pseudonym=row.instance_pseudonym,
        study_pseudonym=row.study_pseudonym,
        patient_pseudonym=row.patient_pseudonym,
        key_id=row.key_id,
        revision=row.revision,
        supersedes=row.supersedes,
        object_bucket=bucket,
        object_key=object_key(note.sha256),
        size_bytes=note.size_bytes,
        sha256=note.sha256,
        transfer_syntax_uid=note.transfer_syntax_uid,
        sop_class_uid=note.sop_class_uid,
        lane=row.lane,
        site=row.site,
        received_at=row.received_at,
        calling_ae=row.calling_ae,
        modality=_code(header, "modality"),
        body_part=_code(header, "body_part"),
        view_position=_code(header, "view_position"),
        manufacturer=_word(header, "manufacturer"),
        model_name=_word(header, "model_name"),
        station_hash=keys.station(station) if station else None,
        sex=sex if (sex := _code(header, "patient_sex")) in _SEXES else None,
        age_band=age_band(header.get("patient_age")),
        identity_changed=row.identity_changed,
    )


def age_band(age: str | None) -> str | None:
    """Give an age (AS, PS3.5 6.2) as a band of ten years, the top one 90+ (HIPAA's limit); None for no age.

    >>> age_band("047Y"), age_band("006M"), age_band("103Y"), age_band("old")
    ('40-49', '0-9', '90+', None)
    """
    if age is None or len(age) != _AGE_CHARACTERS or not age[:3].isdecimal() or age[3] not in _YEARS_IN:
        return None
    years = int(int(age[:3]) * _YEARS_IN[age[3]])
    if years >= _TOP_AGE:
        return f"{_TOP_AGE}+"
    low = years - years % _BAND_YEARS
    return f"{low}-{low + _BAND_YEARS - 1}"


def _code(header: Header, name: str) -> str | None:
    """Give a coded value: its first, in upper case."""
    value = header.get(name)
    return value.split("\\")[0].strip().upper()[:_LONGEST_WORD] or None if value else None


def _word(header: Header, name: str) -> str | None:
    value = header.get(name)
    return " ".join(value.split())[:_LONGEST_WORD] if value else None
