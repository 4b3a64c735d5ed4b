"""What every package stands on: errors, settings, options, output folders, progress."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    atomic_output="OutputFolder whole_file",
    errors="InputError FailedChecksError",
    options="add_options given",
    progress="EventSink Progress",
    resources="resource_path",
    settings="StageSettings",
    stopwatch="Stopwatch",
    templates="render_html",
)
