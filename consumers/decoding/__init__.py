"""From an event to tensors: the object is fetched and proved, then decoded in a process of its own."""
