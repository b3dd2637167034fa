"""The settings of every service and command: the only place that reads the environment.

A setting comes from the environment, else from `<state dir>/env` (written by `radstream up`), else from its default.
`RADSTREAM_PORT_OFFSET` moves the default ports; a port or address that is set outright is taken as it is.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from radstream.setting_kinds import (
    Peer,
    at_least,
    fingerprints,
    flag,
    former_keys,
    key,
    names,
    natural,
    networks,
    nice,
    one_of,
    peers,
    percent,
    positive,
    seconds,
    seconds_or_none,
    setting,
    share,
)
from radstream.setting_reader import read_env_file, required, value_of, variable
from schemas.identity import Pseudonyms

#: Every member counts on deployments being written so far ahead (`consumers.models.deployed`).
LEAST_LEAD_SECONDS = 5.0
#: Metrics and health of each service, before the offset.
METRICS_PORTS: Mapping[str, int] = {
    "dicom_listener": 9101,
    "inference": 9102,
    "sink": 9103,
    "streams": 9104,
    "training": 9105,
    "console": 9106,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; `docs/settings.md` lists the same table."""

    port_offset: int = setting("0", "Moves every default local port by this number.", int)
    state_dir: Path = setting(".radstream", "Folder of all local state, logs and the env file.", Path)
    bind_address: str = setting("127.0.0.1", "Address that our services listen on.")

    kafka_bootstrap: str = setting("localhost:{9092}", "Kafka's bootstrap servers, host:port separated by commas.")
    schema_registry_url: str = setting("http://localhost:{8081}/apis/ccompat/v7", "Registry with the Confluent API.")
    s3_url: str = setting("http://localhost:{7070}", "Address of the S3 server.")
    s3_access_key: str = setting("radstream", "Access key of the S3 server.")
    s3_secret_key: str = setting("radstream-local", "Secret key of the S3 server.", secret=True)
    s3_bucket: str = setting("radstream", "Bucket for images and model packages.")
    postgres_url: str = setting(
        "postgresql://radstream@localhost:{5432}/radstream", "PostgreSQL; a socket DSN is allowed.", secret=True
    )
    redis_url: str = setting("redis://localhost:{6379}/0", "Redis; it may be lost at any time.", secret=True)
    prometheus_port: int = setting("{9090}", "Port of the local Prometheus.", int)
    service_metrics_port: int | None = setting(
        None, "Port of metrics and health of the service that is started; else 9101 to 9106 by service.", int
    )

    pseudonym_key: bytes | None = setting(None, "64 hex digits: the key of the pseudonyms.", key, secret=True)
    pseudonym_key_id: str = setting("1", "Name of the pseudonym key; it stands in every event.")
    former_pseudonym_keys: tuple[Pseudonyms, ...] = setting(
        "",
        "Earlier keys as id:64 hex digits, separated by commas: studies keep their first.",
        former_keys,
        secret=True,
    )
    vault_key: bytes | None = setting(None, "64 hex digits: the key of the identifiers at rest.", key, secret=True)

    ae_title: str = setting("RADSTREAM", "AE title of the listener.")
    dicom_port: int = setting("{11112}", "Port of C-STORE and C-ECHO; 0: by TLS only.", int)
    dicom_tls_port: int = setting("{2762}", "Port of the same by TLS; open when a certificate is set.", int)
    tls_certificate: Path | None = setting(
        None, "Certificate chain of the listener (PEM); read anew on a change.", Path
    )
    tls_key: Path | None = setting(None, "Its private key (PEM); else it stands with the certificate.", Path)
    tls_ca: Path | None = setting(None, "Certificates that peers' certificates must descend from (PEM).", Path)
    tls_clients: str = setting(
        "required", "Certificates of peers: required, optional or none.", one_of("required", "optional", "none")
    )
    allowed_certificates: tuple[str, ...] = setting(
        "", "SHA-256 fingerprints (hex) of the peers' certificates that are let in by TLS; empty: all.", fingerprints
    )
    allowed_addresses: tuple[str, ...] = setting(
        "", "Addresses or networks (CIDR) that may connect, separated by commas; empty: all.", networks
    )
    ack_policy: str = setting("published", "When C-STORE answers: published or spool.", one_of("published", "spool"))
    ack_deadline_seconds: float = setting(
        "5", "How long an answer waits for forwarding before the spool's durability counts (seconds).", seconds
    )
    spool_dir: Path | None = setting(None, "Folder of the spool; else spool under the state dir.", Path)
    spool_shed_percent: float = setting(
        "80", "Over this, forwarded files go and routine images are refused (% of the file system).", percent
    )
    spool_refuse_percent: float = setting("90", "Over this all images are refused (% of the file system).", percent)
    spool_checkpoint_seconds: float = setting(
        "30", "Forwarded files are removed this often, after a sync of the machine's disks (seconds).", seconds
    )
    spool_spare_bytes: int = setting(
        str(1024**3), "Kept allocated in each process's spool for images to come; 0: nothing (bytes).", int
    )
    allowed_aes: tuple[str, ...] = setting("*", "Calling AE titles, separated by commas; * allows all.", names)
    routes: Path | None = setting(None, "TOML file of routes: lane and site of an image.", Path)
    accept_unknown_syntaxes: bool = setting("0", "1: store private and unknown transfer syntaxes too.", flag)
    accept_unknown_classes: bool = setting("0", "1: store objects of private and unknown SOP classes too.", flag)
    check_called_ae: bool = setting("0", "1: refuse who calls another AE title than ours and the routes'.", flag)
    user_identity: Path | None = setting(
        None, "File of users and hashed passcodes; then every association must name a user in it.", Path
    )
    maximum_associations: int = setting(
        "64",
        "Associations at one time (count); one sender may have all until another was refused, then an equal share.",
        positive,
    )
    maximum_associations_per_ae: int | None = setting(None, "Associations of one calling AE (count).", positive)
    reserved_associations: int = setting(
        "0", "Of these, associations kept for senders that have none, so that one is let in at once (count).", natural
    )
    verification_associations: int = setting(
        "4", "Associations beside that, for peers that propose Verification only (count).", int
    )
    maximum_images_per_second: float | None = setting(
        None, "Images of one calling AE in a second; over it we read more slowly (1/s).", seconds
    )
    maximum_bytes_per_second: float | None = setting(
        None, "Bytes of one calling AE in a second; over it we read more slowly (bytes/s).", seconds
    )
    artim_seconds: float = setting(
        "30", "From the connection to the whole request for an association: ARTIM (seconds).", seconds
    )
    dimse_seconds: float = setting("60", "Longest silence within a message (seconds).", seconds)
    idle_seconds: float = setting("60", "Longest silence between messages (seconds).", seconds)
    maximum_pdu_bytes: int = setting("131072", "Largest PDU that the listener offers to take (bytes).", positive)
    listener_processes: int = setting("2", "Processes that receive (count); one more costs some 30 MB.", positive)
    listener_slot: str = setting(
        "0", "Stable name of a listener; its processes' slots are it, it-1, ...: part of their transactional.id."
    )
    commitment: str = setting(
        "none",
        "Storage commitment: none (every instance is reported as not committed) or archive (those in a durable store).",
        one_of("none", "archive"),
    )
    s3_durable: bool = setting("0", "1: the object store keeps what it answered through a power cut.", flag)
    commitment_peers: Mapping[str, Peer] = setting(
        "",
        "Where reports of commitment go: AE=host:port, or AE=tls://host:port with the listener's own certificate, "
        "separated by commas; else the asker's association.",
        peers,
    )
    commitment_wait_seconds: float = setting(
        "600", "How long a report waits for images that the spool still holds (seconds).", seconds
    )
    commitment_retry_seconds: float = setting(
        "86400", "How long a report is tried again before it is given up (seconds).", seconds
    )
    die_at: str = setting("", "Tests only: the named step at which the listener or the inference group kills itself.")
    freeze_at: str = setting("", "Tests only: the named step at which an inference process stops once (SIGSTOP).")

    engine: str | None = setting(
        None,
        "onnxruntime, openvino, torch or torch-half (half precision, for a GPU); else the fastest there.",
        one_of("onnxruntime", "openvino", "torch", "torch-half"),
    )
    model_dir: Path = setting("models/chest-pneumonia/1.0.0", "Folder of the model package to serve.", Path)
    deploy_lead_seconds: float = setting(
        "5",
        "How far ahead a deployment by command takes effect (seconds): at least 5, more where a package loads slowly.",
        at_least(LEAST_LEAD_SECONDS),
    )
    model_keep_seconds: float = setting(
        "60", "How long a version that no deployment names stays in memory after its last image (seconds).", seconds
    )
    inference_slot: str = setting("0", "Stable number of an inference process; part of its transactional.id.")
    heatmaps: str = setting(
        "positives", "Images that get a heat map: none, positives or all.", one_of("none", "positives", "all")
    )
    decode_workers: int = setting("2", "Decoding processes (count).", positive)
    decode_timeout_seconds: float = setting("60", "A decode longer than this is ended (seconds).", seconds)
    batch_images: int = setting("8", "Most images of one forward pass on a GPU; a CPU takes one (count).", positive)
    batch_age_seconds: float = setting(
        "0", "Longest wait of an image for a fuller forward pass; of use on a GPU (seconds).", seconds_or_none
    )
    forward_threads: int | None = setting(
        None, "Forward passes at one time (count); else the cores that we may use, and two on a GPU.", positive
    )
    routine_nice: int = setting(
        "10",
        "Added to the nice value of what decodes and infers for routine too: STAT has the processor (0 to 19).",
        nice,
    )
    window_images: int = setting("48", "Images in hand of each lane: read, not yet committed (count).", positive)
    commit_images: int = setting("32", "Most images of one transaction (count).", positive)
    commit_age_seconds: float = setting(
        "0.1", "Longest wait of a routine result for others to share its transaction (seconds).", seconds_or_none
    )
    commit_backlog_age_seconds: float = setting(
        "1", "The same while more images wait in the log than a lane has in hand (seconds).", seconds_or_none
    )
    breaker_dead_letters: int = setting("50", "Dead letters in a row that open the breaker (count).", positive)

    otlp_endpoint: str | None = setting(
        None, "Where traces go by OTLP over HTTP, like http://localhost:4318; unset: no traces. Extra: traces."
    )
    trace_share: float = setting("1", "Share of the images whose trace is kept, from 0 to 1.", share)
    lag_look_seconds: float = setting(
        "5", "Time between two looks of a service at its groups' lag; ten make a verdict (seconds).", seconds
    )

    reconcile_seconds: float = setting(
        "30", "Time between two counts of what became of the acknowledged images, by the sink (seconds).", seconds
    )
    reconcile_window_seconds: float = setting(
        "3600", "How far back such a count goes; `radstream reconcile` counts all (seconds).", seconds
    )
    stat_result_seconds: float = setting(
        "60", "A STAT image without a result so long after its receipt is overdue (seconds).", seconds
    )

    tick_seconds: float = setting("60", "Time between two ticks of the streams (seconds).", seconds)
    http_port: int = setting("{8080}", "Port of the console.", int)
    stow_port: int = setting("{8042}", "Port of STOW-RS; 0: no STOW-RS.", int)
    stow_address: str = setting("127.0.0.1", "Address of STOW-RS; beyond loopback it needs a token.")
    stow_token: str | None = setting(None, "Bearer token that senders by STOW-RS must give.", secret=True)
    stow_ae: str = setting("STOWRS", "Calling AE of every sender by STOW-RS, for journal, routes and events.")
    stow_request_bytes: int = setting("8589934592", "Largest request to STOW-RS (bytes).", positive)
    stow_requests: int = setting("8", "Requests to STOW-RS at one time (count).", positive)
    stow_idle_seconds: float = setting("30", "How long a sender by STOW-RS may be silent (seconds).", seconds)
    stow_sender_seconds: float = setting(
        "600", "How long a request to STOW-RS may keep us waiting for its sender, in all (seconds).", seconds
    )
    predict_port: int = setting("{8043}", "Port of the prediction door; 0: no door.", int)
    predict_address: str = setting("127.0.0.1", "Address of the prediction door; beyond loopback it needs tokens.")
    predict_tokens: Path | None = setting(None, "File of who may ask there, a name and a hashed token a line.", Path)
    predict_request_bytes: int = setting(
        "134217728", "Largest request to the prediction door; all in hand take at most twice as much (bytes).", positive
    )
    predict_images: int = setting(
        "32", "Images in the prediction door's hand; more are answered 429 (count).", positive
    )
    predict_seconds: float = setting("30", "How long an image may wait there for its answer (seconds).", seconds)
    predict_idle_seconds: float = setting("10", "How long a sender may be silent there (seconds).", seconds)
    predict_sender_seconds: float = setting("60", "How long a sender may take there for a request (seconds).", seconds)
    prediction_cache: bool = setting("0", "1: answer an input that the model has seen from Redis.", flag)
    prediction_cache_seconds: float = setting("604800", "How long an answer is kept there (seconds).", seconds)
    prediction_cache_answers: int = setting("100000", "How many answers are kept there (count).", positive)
    prediction_cache_wait_seconds: float = setting(
        "0.05", "How long an image waits for Redis before the model is asked (seconds).", seconds
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read every setting; raise SettingInvalid with the name, the value's fault and the way out."""
        given = dict(os.environ if environment is None else environment)
        state_dir = Path(given.get("RADSTREAM_STATE_DIR", ".radstream"))
        given = {**read_env_file(state_dir / "env"), **given}
        offset = value_of(next(one for one in fields(cls) if one.name == "port_offset"), given, 0)
        return cls(**{one.name: value_of(one, given, offset) for one in fields(cls)})

    @property
    def spool(self) -> Path:
        """The spool's folder."""
        return self.spool_dir or self.state_dir / "spool"

    def metrics_port(self, service: str) -> int:
        """Give the port of a service's metrics and health."""
        return self.service_metrics_port or METRICS_PORTS[service] + self.port_offset

    def require_pseudonym_key(self) -> bytes:
        """Give the pseudonym key, or say how to get one."""
        return required("RADSTREAM_PSEUDONYM_KEY", self.pseudonym_key)

    def require_vault_key(self) -> bytes:
        """Give the vault's key, or say how to get one."""
        return required("RADSTREAM_VAULT_KEY", self.vault_key)


def process_environment() -> dict[str, str]:
    """Give a copy of the whole environment, for the programs that the native stack starts."""
    return dict(os.environ)


def documentation() -> list[tuple[str, str, str]]:
    """List each variable with its default and its meaning: the source of docs/settings.md."""
    return [
        (variable(one.name), (one.metadata["default"] or "").replace("{", "").replace("}", ""), one.metadata["doc"])
        for one in fields(Settings)
    ]
