"""The command ``eureka``: one file per subcommand, parsing and printing only."""
