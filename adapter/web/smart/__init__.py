"""SMART Backend Services (HL7 SMART App Launch 2.2): a machine signs in with its own key and gets a token.

`endpoint` answers at /fhir/token, and tells of itself at /fhir/.well-known/smart-configuration; `keys` has
the partners' public keys; `tokens` keeps what was given.
"""
