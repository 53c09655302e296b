"""The engine: runs that share a program, compiled and trained together."""
