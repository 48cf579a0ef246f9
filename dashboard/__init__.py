"""Pages on what the lake holds: they ask `warehouse.read` and draw; nothing is stored here."""
