"""What every resource of a cloud stack has to be like: policies, and what judges by them."""
