"""Pages that people open; the document leaves them out."""

from relay.api.operation import Operation, Tag

TAG = Tag(
    name="Pages",
    operations=(
        Operation(name="Console", method="GET", path="/console", handler="resources.console:console", role=None),
        Operation(name="Inbox", method="GET", path="/inbox", handler="resources.console:inbox", role=None),
        Operation(name="Docs", method="GET", path="/docs", handler="resources.docs:page", role=None),
        Operation(name="DocsAsset", method="GET", path="/docs/{*path}", handler="resources.docs:asset", role=None),
        Operation(
            name="Asset", method="GET", path="/console/assets/{*path}", handler="resources.console:asset", role=None
        ),
    ),
)
