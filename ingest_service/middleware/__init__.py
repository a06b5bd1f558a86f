"""The ASGI wrappers around the application, one a file. `ingest_service.app` lists them in their order."""
