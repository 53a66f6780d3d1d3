"""The Learn page: lessons that show why long text matters."""
