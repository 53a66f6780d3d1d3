"""Commands of the library for a shell, beside its index: each module is a subcommand of `lrsclip`."""
