"""The node's application: samples, keeps every record until the server has it, sends, obeys, updates itself."""

VERSION = "0.1.0"
