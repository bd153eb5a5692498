"""What things cost: speeds measured on this machine, and what a sweep will take by them."""
