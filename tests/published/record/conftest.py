"""The programs here need libraries that tests do without, so that pytest is not to import them."""

collect_ignore_glob = ["*.py"]
