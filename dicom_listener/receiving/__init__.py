"""What an image goes through from its command to its answer, by whichever door it came (promise 1)."""
