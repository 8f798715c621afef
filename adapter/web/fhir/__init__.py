"""`/fhir`: what partners read, search and answer with FHIR R4 over REST; `endpoint` has the routes."""
