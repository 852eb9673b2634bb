"""What lies over the main screen for a while: menu, help, ringing, and the pages with one topic."""
