"""The listener's processes: the parent, how it starts its workers, and what they tell each other."""
