"""The measured tasks: short and long retrieval, zero-shot classification, localization.

`plan` lists the measurements of a data folder (`sets` reads it), `retrieval`, `classification` and
`localization` measure, each giving a list of `Result`; `tables` prints them. `python -m train.evaluate` is the command.
"""
