"""The local inbox: mail is stored instead of sent."""
