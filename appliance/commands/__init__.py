"""The commands of `fencewire`, one module for each group; `parser` lists them."""
