"""What turns records into one table or figure of the paper."""
