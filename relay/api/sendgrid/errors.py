"""Write refusals as SendGrid does, for everything under /v3."""

import re

from relay.api.errors import HELP
from relay.api.http import Response, json_response
from relay.api.problems import WHOLE
from relay.api.sendgrid.views import SendGridErrorsView, SendGridErrorView
from relay.core.errors import Problem, Refusal

_STEP = re.compile(r"\[(?:(\d+)|'([^']*)')\]")
"""A step of a target in brackets, which SendGrid writes after a dot."""
_STATUS = {411: 400, 422: 400}
"""SendGrid's contract has only status 400 for an invalid request."""


def refused(refusal: Refusal, request_id: str) -> Response:
    """Return the response of a refusal, in the format that SendGrid's libraries understand."""
    problems = refusal.problems or (
        Problem(code=refusal.code, target=refusal.target or WHOLE, message=refusal.message),
    )
    body = SendGridErrorsView(errors=[_error(problem) for problem in problems], id=request_id)
    headers = {"x-ms-error-code": refusal.code, **refusal.headers}
    return json_response(body, _STATUS.get(refusal.status, refusal.status), headers)


def _error(problem: Problem) -> SendGridErrorView:
    field = None if problem.target == WHOLE else _STEP.sub(_dotted, problem.target)
    return SendGridErrorView(message=problem.message, field=field, help=HELP + problem.code)


def _dotted(step: re.Match[str]) -> str:
    return f".{step[1] or step[2]}"
