"""Model packages: what they hold, how they are verified, where they lie."""
