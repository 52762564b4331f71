// Starts Swagger UI on /docs. Requests go to this site alone, with the session of who is signed in.
"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reader",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // Else the document would be shown to a validator elsewhere.
  validatorUrl: null,
  // A POST without a body says all the same that it is none of a form, for which a token would be asked.
  requestInterceptor: (request) => {
    if (request.method === "POST" && !request.headers["Content-Type"]) {
      request.headers["Content-Type"] = "application/json";
    }
    return request;
  },
});
