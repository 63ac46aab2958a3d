"""Responses about uploaded files."""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import Time, says


class UploadView(Struct, frozen=True, kw_only=True):
    """An uploaded file."""

    id: Annotated[str, says("The upload's id, for attachments of messages.")]
    name: Annotated[str, says("The file name.")]
    type: Annotated[str, says("The media type.")]
    is_complete: Annotated[bool, says("Whether messages may name the upload.")]
    created_at: Annotated[Time, says("When the upload was created.")]
    expires_at: Annotated[Time, says("When Relay deletes the upload, unless a message uses it.")]
    size: Annotated[int, says("The size in bytes, once complete.")] | UnsetType = UNSET
    max_part_bytes: Annotated[int, says("The size limit of a part, until complete.")] | UnsetType = UNSET
