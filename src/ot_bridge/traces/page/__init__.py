"""The page of `ot-bridge view`."""
