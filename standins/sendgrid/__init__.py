"""A stand-in for Twilio SendGrid."""
