"""Submit mail as mail programs do: sendmail and SMTP."""
