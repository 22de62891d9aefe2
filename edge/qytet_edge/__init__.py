"""The gateway: instruments and nearby nodes in, a durable spool, and an uplink that lets go only of what is stored."""
