// Starts ReDoc on /redoc.
"use strict";

const reader = document.getElementById("reader");
const { init } = await import(reader.dataset.bundle);
// It would report to its makers; the page's policy forbids that as well.
init("/openapi.json", { disableTelemetry: true }, reader);
