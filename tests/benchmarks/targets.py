"""The views that the download redirect is measured against."""

import ipaddress
import json

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from storages.backends.s3 import S3Storage

from media.models import MediaFile, ReplicaCopy
from preferences.models import SitePreferences

ELSEWHERE = "https://studio-sydney.s3.ap-southeast-2.amazonaws.com/shotmedia/a.mov"


def empty(request: HttpRequest, media_id: int) -> HttpResponse:
    """Redirect, and nothing else."""
    return _elsewhere()


def user(request: HttpRequest, media_id: int) -> HttpResponse:
    """Redirect after looking who it is."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return _elsewhere()


def _elsewhere() -> HttpResponse:
    return HttpResponseRedirect(ELSEWHERE, headers={"Content-Length": "0"})


_storages: dict[str, S3Storage] = {}


def storage_of(name: str, entry: dict) -> S3Storage:
    """Return the storage of one configuration, made once."""
    if name not in _storages:
        _storages[name] = S3Storage(
            bucket_name=entry["bucket"],
            region_name=entry["region"],
            location=entry.get("prefix", ""),
            endpoint_url=entry.get("endpoint_url"),
            signature_version="s3v4",
            addressing_style="path",
            querystring_expire=3600,
        )
    return _storages[name]


@login_required
def peer(request: HttpRequest, media_id: int) -> HttpResponse:
    """The same download as a well-made Django site writes it: ORM and django-storages."""
    media_file = get_object_or_404(MediaFile, pk=media_id)
    preferences = SitePreferences.objects.get(pk=1)
    configurations = json.loads(preferences.s3_configuration)
    replica = preferences.s3_bucket_for_replication
    name = media_file.configuration
    mode = request.user.use_s3_replication
    if replica and replica != name and mode != "no":
        age = (timezone.now() - media_file.completed_at).total_seconds()
        listed = True
        if mode == "auto":
            address = ipaddress.ip_address(request.META["REMOTE_ADDR"])
            listed = any(
                address in ipaddress.ip_network(line.strip(), strict=False)
                for line in preferences.s3_replication_ip_addresses.splitlines()
                if line.strip()
            )
        if listed and age >= preferences.s3_replication_delay:
            copy = ReplicaCopy.objects.filter(
                media_file=media_file, target=preferences.replica_target
            ).first()
            if copy is not None and copy.state == ReplicaCopy.State.READY:
                name = replica
    link = storage_of(name, configurations[name]).url(
        media_file.path,
        parameters={
            "ResponseContentDisposition": f'attachment; filename="{media_file.name}"',
            "ResponseContentType": media_file.content_type,
        },
    )
    response = HttpResponseRedirect(link)
    response["Cache-Control"] = "private, no-store"
    return response


_views = {"empty": empty, "user": user, "peer": peer}


def _chosen():
    from django.conf import settings

    return _views[settings.TARGET]


urlpatterns = [path("media/<int:media_id>/download", _chosen())]
