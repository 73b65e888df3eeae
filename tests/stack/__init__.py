"""Real services on this machine: Kafka and a schema registry from jars, Redis from a wheel."""
