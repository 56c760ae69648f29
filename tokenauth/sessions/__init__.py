"""What keeps tokens alive: sessions, and the rules to start, refresh and revoke."""
