"""Pages on what the lake holds: they ask `warehouse.read` and draw. Nothing is measured or stored here."""
