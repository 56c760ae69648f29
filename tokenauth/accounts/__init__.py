"""Who may log in: users, names, passwords, attempts."""
