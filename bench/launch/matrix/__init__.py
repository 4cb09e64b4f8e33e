"""Matrices of runs: what is planned, carried out on an engine, recorded, looked at and cancelled."""
