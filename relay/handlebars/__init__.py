"""Handlebars as SendGrid documents it for dynamic templates: parsed into a tree, evaluated within a budget of work.

Nothing of this room is loaded before the first Handlebars template is used. See docs/decisions/0048-handlebars.md.
"""
