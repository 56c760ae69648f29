"""What keeps tokens alive: sessions, and the rules by which they start, go on and end."""
