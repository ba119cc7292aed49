"""What can be wrong with what the simulator is given."""

from __future__ import annotations


class SimulatorError(Exception):
    """Something the user can mend: ``where`` it is and ``what`` was expected.

    ``exit_code`` is what a command ends with: 2 for wrong input, 1 for a world that is not ready.
    """

    exit_code = 2

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class ScenarioError(SimulatorError):
    """A scenario that is not one."""


class RecordingError(SimulatorError):
    """A recording that cannot be read as one."""


class BrokerError(SimulatorError):
    """A broker that is none, or does not answer."""

    exit_code = 1
