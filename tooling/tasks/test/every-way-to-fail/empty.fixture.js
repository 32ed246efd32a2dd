// A file without a test is a mistake.
