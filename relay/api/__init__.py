"""HTTP: what callers send and what they are answered. Imported when the first request comes, never before."""
