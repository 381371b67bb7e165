"""Addresses of the library, the downloads and the uploads."""

from django.urls import path

from media import views
from media.downloads import download, source

app_name = "media"

urlpatterns = [
    path("", views.library, name="library"),
    path("upload/", views.upload_page, name="upload"),
    path("media/uploads", views.begin_upload, name="uploads"),
    path("media/uploads/<uuid:upload_id>", views.cancel_upload, name="upload-cancel"),
    path("media/uploads/<uuid:upload_id>/parts", views.sign_parts, name="upload-parts"),
    path("media/uploads/<uuid:upload_id>/complete", views.complete_upload, name="upload-complete"),
    path("media/<int:media_id>/download", download, name="download"),
    path("media/<int:media_id>/source", source, name="source"),
    path("media/<int:pk>/", views.detail, name="detail"),
]
