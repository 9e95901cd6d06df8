"""Who may enter: users, passwords, log-in sessions, grants, throttle."""
