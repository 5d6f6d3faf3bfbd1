"""The six services of the shop, one file each, as teams write them. `serving` is all that they share."""
