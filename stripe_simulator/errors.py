"""Stripe's errors, in Stripe's JSON shapes.

Shape and types: https://docs.stripe.com/api/errors
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error response of Stripe's API.

    `saved` says whether v1 keeps the response for the request's idempotency key: Stripe does once the endpoint began
    to execute, not where the parameters did not pass validation (https://docs.stripe.com/api/idempotent_requests).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        saved: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.saved = saved

    def body(self) -> dict[str, Any]:
        """Return the JSON body; keys without a value are left out, as Stripe does."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["code"] = self.code
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


def missing_parameter(param: str) -> ApiError:
    """Make the 400 for a required parameter that was not sent."""
    return ApiError(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid_parameter(param: str, message: str, code: str | None = None) -> ApiError:
    """Make the 400 for a parameter whose value Stripe refuses before it does anything."""
    return ApiError(400, message, param=param, code=code)


def no_such(resource_name: str, identifier: str, param: str = "id", status: int = 404) -> ApiError:
    """Make the `resource_missing` error: 404 for the object of a URL, 400 for one that a parameter names."""
    return ApiError(
        status, f"No such {resource_name}: '{identifier}'", code="resource_missing", param=param, saved=status == 400
    )
