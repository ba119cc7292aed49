"""The register on its way out: tables (XLSX, CSV), a map layer (GeoJSON), and open data.

Cast: ``columns`` (what of each kind leaves, by the import's own headings, so that an export can be
imported again), ``writers`` (rows in, bytes out, a piece at a time), ``opendata`` (cameras as
OpenStreetMap's keys, from an allow-list that has no place for a personal or secret field),
``service`` (reads a kind page by page).
"""
