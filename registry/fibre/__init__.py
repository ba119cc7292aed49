"""The fibre plant: what lies where, how light gets through it, and who hangs on it.

Cast: ``plant`` (all of it in memory, refusing what cannot be), ``trace`` (one way through it, hop by
hop), ``budget`` (its loss), ``network`` (ways of light folded into links between devices, and what each
shares with others), ``impact`` and ``redundancy`` (who loses what), ``locate`` (from losses back to the
cut), ``sor`` (an OTDR's distance as a point on the map), ``sheets`` (splice plans to print), ``models``
(the tables), ``services`` (changes, with audit), ``exchange`` (GeoJSON, XLSX, Open Fibre Data
Standard).

One cut's journey: cameras and sites fall silent → ``locate`` weighs every trench and closure against
who is silent and who is not → ``impact`` names cameras, sites and homes behind the likeliest → one
incident that names the cause.
"""
