"""The doors for others: the FHIR endpoint for partners, pages for people, health for machines that watch.

Starlette over uvicorn. Nothing here decides anything about a message: the inbox does.
"""
