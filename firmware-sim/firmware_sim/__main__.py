"""``python -m firmware_sim``: the simulator without the front door."""

from __future__ import annotations

from firmware_sim.cli import main

if __name__ == "__main__":
    main()
