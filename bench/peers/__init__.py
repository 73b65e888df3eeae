"""Other ways to do the job, each in an environment of its own; see the README beside it."""
