"""The fibre plant at the gateway: from live losses to one incident that names the cut.

Cast: ``losses`` (who is lost now, by what the sites have said), ``watch`` (the pass that locates cuts,
opens and closes their incidents), ``works`` (planned work: told beforehand, its faults suppressed).

A cut's journey: cameras and sites fall away → ``losses`` reads them once the picture has changed →
``registry.fibre.locate`` names trenches and closures → ``alerts.cuts`` opens one incident, which takes
over the single troubles → they come back → the incident ends with the last of them.
"""
