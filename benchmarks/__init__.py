"""The evidence: DOS compared with the methods that people would pick instead."""
