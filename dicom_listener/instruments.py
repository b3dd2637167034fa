"""What the listener counts. Labels are few and free of patient data."""

from prometheus_client import Counter, Gauge, Histogram

ASSOCIATIONS = Counter(
    "radstream_listener_associations_total",
    "Associations that ended, by how and whose; senders that no setting names are other.",
    ["end", "ae"],
)
ASSOCIATION_IMAGES = Counter("radstream_listener_association_images_total", "C-STOREs that were answered.", ["ae"])
ASSOCIATION_BYTES = Counter("radstream_listener_association_bytes_total", "Bytes that came (bytes).", ["ae"])
ASSOCIATION_REFUSALS = Counter(
    "radstream_listener_association_refusals_total", "A-ASSOCIATE-RJ, by cause and whose.", ["cause", "ae"]
)
CONNECTIONS_LOST = Counter(
    "radstream_listener_lost_connections_total", "Connections that ended before an association, by cause.", ["cause"]
)
IMAGES = Counter("radstream_listener_images_total", "C-STOREs that were answered, by status.", ["status"])
REFUSALS = Counter("radstream_listener_refusals_total", "C-STOREs without Success, by cause.", ["cause"])
BYTES = Counter("radstream_listener_received_bytes_total", "Bytes of data sets received (bytes).")
ACK = Histogram(
    "radstream_listener_ack_seconds",
    "From a data set's last byte to its answer (seconds).",
    buckets=(0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
LATE = Counter("radstream_listener_spool_answers_total", "Answers for which the spool's durability counted.", ["why"])
PUBLISHED = Counter("radstream_listener_published_total", "Events that were written to the log, by lane.", ["lane"])
REPEATS = Counter("radstream_listener_repeats_total", "Images whose event was in the log already.")
RETRIES = Counter("radstream_listener_forward_retries_total", "Forwarding that was tried again, by cause.", ["cause"])
#: Of several processes: what they hold adds up, the worst age and file system count.
SPOOL_DEPTH = Gauge(
    "radstream_listener_spool_images", "Images that wait in the spool (count).", multiprocess_mode="livesum"
)
SPOOL_AGE = Gauge(
    "radstream_listener_spool_oldest_seconds",
    "Age of the image that waits longest (seconds).",
    multiprocess_mode="livemax",
)
SPOOL_KEPT = Gauge(
    "radstream_listener_spool_forwarded_images",
    "Forwarded images that wait for a checkpoint (count).",
    multiprocess_mode="livesum",
)
SPOOL_USED = Gauge(
    "radstream_listener_spool_used_percent", "How full the spool's file system is (%).", multiprocess_mode="livemax"
)
COMMITMENT_REQUESTS = Counter(
    "radstream_listener_commitment_requests_total", "Requests for storage commitment, by status.", ["status"]
)
COMMITMENT_REPORTS = Counter(
    "radstream_listener_commitment_reports_total",
    "Reports of storage commitment that were tried: same_association and new_association were answered Success.",
    ["outcome"],
)
STOW_REQUESTS = Counter("radstream_listener_stow_requests_total", "Requests to STOW-RS, by HTTP status.", ["status"])
