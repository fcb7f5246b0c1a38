"""What an environment on AWS costs a month.

Quantities come from the settings, prices from the table `inventory/cloud/prices.yaml`; a bill is
one times the other. Nothing here asks AWS, except `refresh`.
"""
