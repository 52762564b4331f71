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
});
