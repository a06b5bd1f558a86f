"""The parts of the OpenAPI document that the handlers' types do not give."""
