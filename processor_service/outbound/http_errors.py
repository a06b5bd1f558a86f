"""Says why a request to somebody else's server broke, by the kind of the error: its words may hold what is secret."""

import aiohttp


def why_broken(error: Exception, awaited: str = "its answer") -> str:
    """What that server did, as the end of a sentence without its full stop; `awaited` had not come as a whole."""
    match error:
        case TimeoutError():
            return "did not answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "has a name that could not be looked up"
        case aiohttp.ClientSSLError():
            return "could not prove by TLS who it is"
        case aiohttp.ClientConnectorError():
            return "could not be connected to"
        case aiohttp.ClientResponseError():
            return "answered with something that is not HTTP"
        case _:
            return f"ended the connection before {awaited} was complete"
