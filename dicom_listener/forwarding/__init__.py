"""From the spool to journal, object store and log: each image in order, each event once (promise 2)."""
