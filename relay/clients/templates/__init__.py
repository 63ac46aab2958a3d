"""The templates of an installation: store, compiler and sandbox. See docs/decisions/0024-templates.md."""
