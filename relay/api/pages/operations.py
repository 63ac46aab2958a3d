"""Operations that show pages to people; the OpenAPI document leaves them out."""

from relay.api.operation import Operation, Tag

TAG = Tag(
    name="Pages",
    operations=(
        Operation(name="Landing", endpoint="GET /", handler="pages.console:landing", roles=None),
        Operation(name="Icon", endpoint="GET /favicon.ico", handler="pages.console:icon", roles=None),
        Operation(name="Console", endpoint="GET /console", handler="pages.console:console", roles=None),
        Operation(name="Inbox", endpoint="GET /inbox", handler="pages.console:inbox", roles=None),
        Operation(name="Docs", endpoint="GET /docs", handler="pages.docs:page", roles=None),
        Operation(name="DocsAsset", endpoint="GET /docs/{*path}", handler="pages.docs:asset", roles=None),
        Operation(name="Asset", endpoint="GET /console/assets/{*path}", handler="pages.console:asset", roles=None),
    ),
)
