# Files of tests/
