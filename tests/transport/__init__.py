"""The carriers, against real peers on loopback."""
