"""Operations about uploaded attachments."""

from relay.api.operation import Audit, Body, Operation, Tag, Unaudited
from relay.api.operations import parameters as given

_BYTES = "application/octet-stream"

# fmt: off
TAG = Tag(
    name="Attachments",
    description="Upload files that several messages share, or that are too large for one request.",
    operations=(
        Operation(name="UploadAttachment", endpoint="POST /v1/attachments", handler="resources.uploads:create",
            audit=Unaudited.SUBMITS,
            summary="Upload a file",
            description="Stores the body as a file; messages name it by its id. With `parts=true` and no body, starts "
                "an upload in parts.",
            parameters=given.UPLOAD, body=Body(others=(_BYTES,), is_required=False),
            responses={201: "shapes.attachments:UploadView"}, errors=(400, 411, 413)),
        Operation(name="ShowAttachment", endpoint="GET /v1/attachments/{id}", handler="resources.uploads:show",
            summary="Get an upload", description="Shows whether the upload is complete and when Relay deletes it.",
            parameters=(given.UPLOAD_ID,), responses={200: "shapes.attachments:UploadView"}, errors=(404,)),
        Operation(name="DeleteAttachment", endpoint="DELETE /v1/attachments/{id}", handler="resources.uploads:delete",
            audit=Audit(resource="auditing.resources:upload"),
            summary="Delete an upload",
            description="Returns 204 even if there is no such upload, and 409 when a message uses it.",
            parameters=(given.UPLOAD_ID,), responses={204: ""}, errors=(409,)),
        Operation(name="PutAttachmentPart", endpoint="PUT /v1/attachments/{id}/parts/{number}",
            handler="resources.uploads:put_part",
            audit=Unaudited.SUBMITS,
            summary="Upload a part of a file",
            description="The same number again replaces the part. Returns 409 when the upload is complete.",
            parameters=(given.UPLOAD_ID, given.PART_NUMBER), body=Body(others=(_BYTES,)), responses={204: ""},
            errors=(400, 404, 409, 411)),
        Operation(name="CompleteAttachment", endpoint="POST /v1/attachments/{id}/complete",
            handler="resources.uploads:complete",
            audit=Unaudited.SUBMITS,
            summary="Complete an upload in parts",
            description="Joins the parts; from then on messages may name the file. Returns 409 when a part is missing.",
            parameters=(given.UPLOAD_ID, given.SIZE), responses={200: "shapes.attachments:UploadView"},
            errors=(400, 404, 409, 413)),
    ),
)
# fmt: on
