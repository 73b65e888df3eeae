"""What one destination sees, and in which form."""
