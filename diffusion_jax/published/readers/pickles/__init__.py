"""Pickles, read by a machine of our own that knows data alone: it imports and calls nothing.

A pickle is a program for a small stack machine whose instructions make values, put them into
containers, and ask for classes and functions by name to call them. `instructions` follows it, with
the bytes of tensors left where they lie. `shells` says which names may be asked for, and what plain
data stand in their place; a file that asks for any other name is refused. `flatten` then gives the
tensors their names.
"""
