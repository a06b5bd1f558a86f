// No other host: the viewer would send the document to its validator.
SwaggerUIBundle({ url: "/schema/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null });
