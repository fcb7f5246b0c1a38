"""What watches a site."""
