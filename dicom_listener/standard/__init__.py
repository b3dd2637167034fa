"""What the standard lays down: headers, command sets, file meta, contexts, UIDs, statuses and refusals."""
