import secrets


class Headers:
    """Sets the headers that keep foreign scripts, frames and caches out of the pages."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.csp_nonce = secrets.token_urlsafe(16)
        response = self.get_response(request)
        response["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'nonce-%(nonce)s'; script-src 'nonce-%(nonce)s';"
            " connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none';"
            " frame-ancestors 'none'" % {"nonce": request.csp_nonce}
        )
        response["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        return response
