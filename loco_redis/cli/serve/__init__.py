"""Commands that run something beside the fleet, or print what runs beside it."""
