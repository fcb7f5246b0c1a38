"""Programs that speak the protocol of one that a sandbox cannot run, and say that they are not it.

    comfyui      ComfyUI's queue, without a GPU: draws patterns (graph, picture)
    grafana      Grafana's pages and API: real figures, plainly shown (provisioned, asking, page)
    sonarqube    SonarQube's API and what its scanner runs: a few rules (engine, judge)

A site's `registry.simulated` names where they run; real boards run the real programs.
"""
