"""Addresses of the speed test."""

from django.urls import path, re_path

from speedtest import (
    compare_views,
    invitation_views,
    invited_views,
    lag_views,
    results_views,
    server_views,
    views,
)

app_name = "speedtest"
urlpatterns = [
    re_path(r"^admin/speedtest/?$", views.page, name="page"),
    path("admin/speedtest/compare", compare_views.page, name="compare"),
    path("admin/speedtest/compare/judge", compare_views.judge, name="compare_judge"),
    path("admin/speedtest/lag", lag_views.page, name="lag"),
    path("admin/speedtest/lag/start", lag_views.start, name="lag_start"),
    path("admin/speedtest/lag/<uuid:lag_id>/look", lag_views.look, name="lag_look"),
    path("admin/speedtest/lag/<uuid:lag_id>/stop", lag_views.stop, name="lag_stop"),
    path("admin/speedtest/server", server_views.page, name="server_page"),
    path("admin/speedtest/server/start", server_views.start, name="server_start"),
    path("admin/speedtest/server/<uuid:run_id>/look", server_views.look, name="server_look"),
    path("admin/speedtest/server/<uuid:run_id>/stop", server_views.stop, name="server_stop"),
    path("admin/speedtest/results/", results_views.listing, name="results"),
    path("admin/speedtest/results.csv", results_views.export_csv, name="results_csv"),
    path("admin/speedtest/results.json", results_views.export_json, name="results_json"),
    path("admin/speedtest/results/<uuid:run_id>/", results_views.detail, name="result"),
    path("admin/speedtest/runs", views.start, name="start"),
    path("admin/speedtest/runs/<uuid:run_id>/server", views.server_checks, name="server"),
    path("admin/speedtest/runs/<uuid:run_id>/prepare", views.prepare, name="prepare"),
    path("admin/speedtest/runs/<uuid:run_id>/replay", views.replay, name="replay"),
    path("admin/speedtest/runs/<uuid:run_id>/complete", views.complete, name="complete"),
    path("admin/speedtest/runs/<uuid:run_id>/join", views.join, name="join"),
    path("admin/speedtest/runs/<uuid:run_id>/finish", views.finish, name="finish"),
    path("admin/speedtest/runs/<uuid:run_id>/report.txt", views.report, name="report"),
    path("admin/speedtest/invitations/", invitation_views.listing, name="invitations"),
    path(
        "admin/speedtest/invitations/<uuid:invitation_id>/revoke",
        invitation_views.revoke,
        name="revoke_invitation",
    ),
    path("speedtest/t/<str:token>", invited_views.page, name="invited"),
    path("speedtest/t/<str:token>/start", invited_views.start, name="invited_start"),
    *(
        path(f"speedtest/t/<str:token>/<uuid:run_id>/{step}", view, name=f"invited_{step}")
        for step, view in (
            ("prepare", invited_views.prepare),
            ("replay", invited_views.replay),
            ("complete", invited_views.complete),
            ("join", invited_views.join),
            ("finish", invited_views.finish),
        )
    ),
]
