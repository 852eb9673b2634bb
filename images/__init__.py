"""Everything that makes and runs the images that users flash; see README.md."""
