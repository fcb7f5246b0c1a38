"""The lab's dashboards, one module each: what there is to see, in which order."""
