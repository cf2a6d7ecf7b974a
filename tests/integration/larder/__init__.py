"""The harness of the integration tests: real processes, real Redis, real disks, real clients."""
