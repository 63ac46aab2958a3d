"""Operations about the inbox."""

from relay.api.operation import Audit, Operation, Tag
from relay.api.operations import parameters as given

# fmt: off
TAG = Tag(
    name="Inbox",
    description="Read the mail that a route of provider `capture` caught, in development and tests.",
    operations=(
        Operation(name="ListInbox", endpoint="GET /v1/inbox", cost=5, handler="resources.inbox:index",
            summary="List mail in the inbox", description="Returns a page of the caller's mail, newest first.",
            parameters=(*given.INBOX, given.LIMIT, given.CURSOR), responses={200: "shapes.content:InboxPageView"},
            errors=(400,)),
        Operation(name="WaitForInboxMail", endpoint="GET /v1/inbox/wait", cost=10, handler="resources.inbox:wait",
            summary="Wait for mail in the inbox",
            description="Returns the newest matching mail as soon as there is one, and 404 after `timeout` seconds.",
            parameters=(*given.INBOX, given.TIMEOUT), responses={200: "shapes.content:InboxMailView"},
            errors=(400, 404)),
        Operation(name="ShowInboxMail", endpoint="GET /v1/inbox/{name}", handler="resources.inbox:show",
            summary="Get a mail from the inbox",
            description="Returns headers, text, HTML, links, and attachments in base64.",
            parameters=(given.MAIL_NAME,), responses={200: "shapes.content:InboxMailView"}, errors=(404,)),
        Operation(name="ShowInboxSource", endpoint="GET /v1/inbox/{name}/source", handler="resources.inbox:source",
            summary="Download the source of a mail in the inbox", description="Returns the mail as RFC 5322 text.",
            parameters=(given.MAIL_NAME,), responses={200: "message/rfc822"}, errors=(404,)),
        Operation(name="ShowInboxHtml", endpoint="GET /v1/inbox/{name}/html", handler="resources.inbox:html", roles=None,
            summary="Show the HTML of a mail in the inbox as a page",
            description="The URL comes from `html_url` of the mail; its signature replaces a key. Scripts and remote "
                "content are blocked.",
            parameters=(given.MAIL_NAME, *given.SIGNED), responses={200: "text/html"}, errors=(403, 404, 429)),
        Operation(name="EmptyInbox", endpoint="DELETE /v1/inbox", cost=10, handler="resources.inbox:empty",
            audit=Audit(),
            summary="Delete mail from the inbox",
            description="Deletes the caller's mail that matches the filters; without filters all of it.",
            parameters=given.INBOX, responses={200: "shapes.content:InboxEmptiedView"}),
        Operation(name="DeleteInboxMail", endpoint="DELETE /v1/inbox/{name}", handler="resources.inbox:delete",
            audit=Audit(),
            summary="Delete a mail from the inbox", description="Returns 204 even if there is no such mail.",
            parameters=(given.MAIL_NAME,), responses={204: ""}),
    ),
)
# fmt: on
