"""`qytet edge doctor`: looks at everything between an instrument and the city, and says how to mend what is wrong."""

from qytet_edge.doctor.diagnose import diagnose
from qytet_edge.doctor.scene import Scene

__all__ = ["Scene", "diagnose"]
