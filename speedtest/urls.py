"""Addresses of the speed test."""

from django.urls import path, re_path

from speedtest import views

app_name = "speedtest"
urlpatterns = [
    re_path(r"^admin/speedtest/?$", views.page, name="page"),
    path("admin/speedtest/runs", views.start, name="start"),
    path("admin/speedtest/runs/<uuid:run_id>/server", views.server_checks, name="server"),
    path("admin/speedtest/runs/<uuid:run_id>/prepare", views.prepare, name="prepare"),
    path("admin/speedtest/runs/<uuid:run_id>/replay", views.replay, name="replay"),
    path("admin/speedtest/runs/<uuid:run_id>/complete", views.complete, name="complete"),
    path("admin/speedtest/runs/<uuid:run_id>/join", views.join, name="join"),
    path("admin/speedtest/runs/<uuid:run_id>/finish", views.finish, name="finish"),
    path("admin/speedtest/runs/<uuid:run_id>/report.txt", views.report, name="report"),
]
