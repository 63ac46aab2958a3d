"""Pages that people open; the document leaves them out."""

from relay.api.operation import Operation, Tag

TAG = Tag(
    name="Pages",
    operations=(
        Operation(name="Landing", endpoint="GET /", handler="resources.console:landing", roles=None),
        Operation(name="Icon", endpoint="GET /favicon.ico", handler="resources.console:icon", roles=None),
        Operation(name="Console", endpoint="GET /console", handler="resources.console:console", roles=None),
        Operation(name="Inbox", endpoint="GET /inbox", handler="resources.console:inbox", roles=None),
        Operation(name="Docs", endpoint="GET /docs", handler="resources.docs:page", roles=None),
        Operation(name="DocsAsset", endpoint="GET /docs/{*path}", handler="resources.docs:asset", roles=None),
        Operation(name="Asset", endpoint="GET /console/assets/{*path}", handler="resources.console:asset", roles=None),
    ),
)
