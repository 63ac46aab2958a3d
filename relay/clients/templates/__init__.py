"""The templates of an installation: their versions, and what fills them in. See docs/decisions/0024-templates.md."""
