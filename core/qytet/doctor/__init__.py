"""`qytet doctor`: checks the host, the settings, the servers and the services, and says how to mend each."""
