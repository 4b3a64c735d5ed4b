"""What several commands share: how a command is made, arguments that are called alike, what is printed."""
