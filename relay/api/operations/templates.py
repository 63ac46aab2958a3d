"""Operations about templates."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag, Unaudited
from relay.api.operations import parameters as given
from relay.clients.roles import OPERATORS

_TEMPLATE = {"subject": "Hello, {{ name }}", "text": "Welcome, {{ name }}."}

# fmt: off
TAG = Tag(
    name="Templates",
    description="Store, version and preview templates that messages are rendered from.",
    operations=(
        Operation(name="ListTemplates", endpoint="GET /v1/templates", cost=5, handler="resources.templates:index",
            summary="List templates", description="Returns every template with its newest version.",
            responses={200: "shapes.templates:TemplateListView"}),
        Operation(name="ShowTemplate", endpoint="GET /v1/templates/{name}", handler="resources.templates:show",
            summary="Get a template", description="Returns the newest version, or with `name@3` version 3.",
            parameters=(given.TEMPLATE,), responses={200: "shapes.templates:TemplateView"}, errors=(404,)),
        Operation(name="PutTemplate", endpoint="PUT /v1/templates/{name}",
            handler="resources.templates:put", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:template"),
            summary="Create or update a template",
            description="Adds a version. Returns 201 for the first version and 200 for later ones.",
            parameters=(given.TEMPLATE_NAME,),
            body=Body(shape="shapes.templates:TemplateRequest", example=_TEMPLATE),
            responses={201: "shapes.templates:TemplateView", 200: "shapes.templates:TemplateView"}, errors=OF_BODIES),
        Operation(name="DeleteTemplate", endpoint="DELETE /v1/templates/{name}",
            handler="resources.templates:delete", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:template"),
            summary="Delete a template",
            description="Deletes every version. Returns 204 even if there is no such template.",
            parameters=(given.TEMPLATE,), responses={204: ""}),
        Operation(name="ListTemplateVersions", endpoint="GET /v1/templates/{name}/versions", cost=5,
            handler="resources.templates:versions",
            summary="List the versions of a template", description="Returns every version, newest first.",
            parameters=(given.TEMPLATE,), responses={200: "shapes.templates:TemplateVersionListView"}, errors=(404,)),
        Operation(name="PreviewTemplate", endpoint="POST /v1/templates/{name}/preview", cost=5,
            handler="resources.templates:preview",
            audit=Unaudited.READS,
            summary="Preview a template",
            description="Renders the template with variables and sends nothing. Returns 422 when a variable is "
                "missing.",
            parameters=(given.TEMPLATE,),
            body=Body(shape="shapes.templates:PreviewRequest", is_required=False, example={"variables": {"name": "Ada"}}),
            responses={200: "shapes.templates:PreviewView"}, errors=(*OF_BODIES, 404, 422)),
        Operation(name="ShowTemplateHtml", endpoint="GET /v1/templates/{name}/html",
            handler="resources.templates:html", roles=None,
            summary="Show a preview's HTML as a page",
            description="The URL comes from `html_url` of a preview; its signature replaces a key. Scripts and remote "
                "content are blocked.",
            parameters=(given.TEMPLATE, *given.SIGNED, *given.VARIABLES), responses={200: "text/html"},
            errors=(403, 404, 429)),
    ),
)
# fmt: on
