# Files of doc/
