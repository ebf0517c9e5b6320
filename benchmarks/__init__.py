"""The proof: DOS beside the methods that people would pick instead."""
