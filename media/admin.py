"""Media files in the admin: to look at, not to change."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from media.models import MediaFile


@admin.register(MediaFile)
class MediaFileAdmin(admin.ModelAdmin):
    """A read-only list: a media file is immutable, and its row without its object is nothing."""

    list_display = ("name", "kind", "size", "configuration", "uploaded_by", "completed_at")
    list_filter = ("kind",)
    list_select_related = ("uploaded_by",)
    search_fields = ("name",)
    ordering = ("-pk",)
    list_per_page = 50
    # Counting all rows once more for "7 results (1,000,000 total)" reads the whole table.
    show_full_result_count = False
    fields = (
        "name",
        "page",
        "kind",
        "content_type",
        "size",
        "etag",
        "configuration",
        "path",
        "uploaded_by",
        "completed_at",
    )
    readonly_fields = fields

    @admin.display(description="Page")
    def page(self, media_file: MediaFile) -> str:
        """Return a link to the media file's page."""
        address = reverse("media:detail", args=[media_file.pk])
        return format_html('<a href="{}">{}</a>', address, address)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no: media files are made by uploads."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        """Say no: media files are immutable."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        """Say no: the object in S3 would stay."""
        return False
