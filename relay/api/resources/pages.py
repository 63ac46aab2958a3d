"""Pages that people open; the document leaves them out."""

from relay.api.operation import Operation, Tag

TAG = Tag(
    name="Pages",
    operations=(
        Operation(name="Landing", endpoint="GET /", handler="resources.console:landing", role=None),
        Operation(name="Icon", endpoint="GET /favicon.ico", handler="resources.console:icon", role=None),
        Operation(name="Console", endpoint="GET /console", handler="resources.console:console", role=None),
        Operation(name="Inbox", endpoint="GET /inbox", handler="resources.console:inbox", role=None),
        Operation(name="Docs", endpoint="GET /docs", handler="resources.docs:page", role=None),
        Operation(name="DocsAsset", endpoint="GET /docs/{*path}", handler="resources.docs:asset", role=None),
        Operation(name="Asset", endpoint="GET /console/assets/{*path}", handler="resources.console:asset", role=None),
    ),
)
