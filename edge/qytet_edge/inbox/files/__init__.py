"""Instruments that only offer files or web pages: CSV files that grow, and JSON or CSV that is fetched.

follow, reader, place   files: the source, rows and headers, how far a file is read
pull, fetch, answer     web pages: the source, one request, what the answer says
columns, stamps         what both share: what columns mean, and when rows were
"""

from qytet.doctor.finding import Finding
from qytet_edge.inbox.files.follow import FileConfig, FileSource, probe_file
from qytet_edge.inbox.files.pull import HttpConfig, HttpSource, probe_http
from qytet_edge.inbox.kinds import Context

__all__ = ["Config", "FileConfig", "HttpConfig", "create", "probe"]

Config = FileConfig | HttpConfig


def create(config: FileConfig | HttpConfig, context: Context) -> FileSource | HttpSource:
    """The source; it opens nothing before it runs."""
    return FileSource(config, context) if isinstance(config, FileConfig) else HttpSource(config, context)


async def probe(config: FileConfig | HttpConfig, context: Context) -> list[Finding]:
    """Whether what is to be read is there and can be understood."""
    if isinstance(config, FileConfig):
        return await probe_file(config, context)
    return await probe_http(config, context)
