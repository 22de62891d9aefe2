"""Updates on evidence: a signed bundle becomes a release on trial, kept only when the city confirms a reading of it.

layout      where releases, the trial and the keys lie
disk        file operations of which a power cut leaves the old state or the new one
manifest    what a bundle holds, and who signed it
bundle      bundles: made on a desk, read on a gateway
build       a release: a Python environment made offline from the bundle's wheels
trial       what is on trial, what became of it
apply       the root side: new releases, new configurations, the way back
evidence    the gateway's side: what it writes when the city has stored a record of the new version
remote      the city's command `update`: fetch, hand over, answer
commands    `qytet edge update`, and `qytet edge config apply`

The network-facing gateway cannot replace its own code: it has no rights to. It lays a bundle and a request into its
own folder; a unit of systemd that runs as root and has no network takes them from there, trusts the signature only,
and makes the release. `edge/deploy/guard.sh`, which needs no Python, counts starts and minutes of a trial and goes
back to what was before if the evidence does not come.
"""
