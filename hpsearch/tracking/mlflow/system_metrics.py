"""MLflow's own record of processor, memory, disk, network and GPU, on the study's run."""

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

SECONDS = 10.0
"""Between two samples, as in MLflow."""


class SystemMetrics:
    """Samples while a study is searched. MLflow stops by itself when its store is out of reach.

    Args:
        uri: MLflow's store.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._monitor: SystemMetricsMonitor | None = None

    def go_on(self, run_id: str) -> None:
        """Begin, or begin again after an outage; steps go on where those of the run end."""
        self.stop()
        if importlib.util.find_spec("psutil") is None:
            return  # MLflow's monitors need it
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(
            run_id, sampling_interval=SECONDS, resume_logging=True, tracking_uri=self._uri
        )
        self._monitor.start()

    def stop(self) -> None:
        """Write what has been sampled."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
