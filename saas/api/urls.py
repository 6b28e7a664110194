"""The routes of the REST API. The gateway's three (chat, completions, embeddings) lie before Django."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from saas.api.health import healthz
from saas.api.openai import files, uploads
from saas.api.platform import api_keys, members, sign_up

_files = [
    path("v1/files", files.FilesView.as_view()),
    path("v1/files/<str:file_id>", files.FileView.as_view()),
    path("v1/files/<str:file_id>/content", files.FileContentView.as_view()),
    path("v1/uploads", uploads.UploadsView.as_view()),
    path("v1/uploads/<str:upload_id>/parts", uploads.UploadPartsView.as_view()),
    path("v1/uploads/<str:upload_id>/complete", uploads.UploadCompleteView.as_view()),
    path("v1/uploads/<str:upload_id>/cancel", uploads.UploadCancelView.as_view()),
]
_accounts = [
    path("v1/sign_up", sign_up.SignUpView.as_view()),
    path("v1/api_keys", api_keys.ApiKeysView.as_view()),
    path("v1/api_keys/<str:api_key_id>", api_keys.ApiKeyView.as_view()),
    path("v1/api_keys/<str:api_key_id>/rotate", api_keys.ApiKeyRotateView.as_view()),
    path("v1/members", members.MembersView.as_view()),
    path("v1/members/<str:member_id>", members.MemberView.as_view()),
]
_documents = [
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("healthz", healthz),
]

urlpatterns: list[URLPattern | URLResolver] = [*_files, *_accounts, *_documents]
