"""The layers between a stranger's request and the app: routes, limits, the gate for values and files, and health."""
