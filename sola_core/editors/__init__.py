"""Editing methods behind one protocol; each makes interventions on the frozen host."""
