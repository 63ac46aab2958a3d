"""Local stand-ins for the vendors: real HTTP and SMTP servers on loopback that refuse what the vendors refuse.

`async with SendGridStandIn() as sendgrid:` starts one with `sendgrid.url`, `sendgrid.inbox` (the accepted mails)
and `sendgrid.script` (the faults to produce). `python -m standins` runs all of them in one process.
They are not deployed with the function app.
"""
