"""Code that both kinds of templates share: the budget of work, their errors, and formats of dates and numbers."""
