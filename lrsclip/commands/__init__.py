"""What a shell can ask of the library beside its index: each module is a subcommand of `lrsclip`."""
