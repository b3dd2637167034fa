"""STAT overtakes routine at every queue of a process, and routine never starves (promise 4)."""
