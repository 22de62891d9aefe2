"""Addresses of the page's texts."""

from typing import Literal

from fastapi import APIRouter, Response

from qytet import messages
from qytet_api.problems import responses

router = APIRouter(prefix="/v1/messages", tags=["Service"])


@router.get("/{language}", responses=responses(422), summary="Texts of the page")
async def texts(response: Response, language: Literal["sq", "en"]) -> dict[str, str]:
    """All texts of one language by key."""
    response.headers["cache-control"] = "no-cache"
    return messages.catalogue(language)
